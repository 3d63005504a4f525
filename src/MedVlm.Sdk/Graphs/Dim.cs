namespace MedVlm.Graphs;

/// <summary>One dimension of a graph's input or output: a number, or a letter that each run fills in.</summary>
internal readonly record struct Dim(long Size, string? Letter)
{
    public static implicit operator Dim(long size) => new(size, null);

    public static implicit operator Dim(int size) => new(size, null);

    public static implicit operator Dim(string letter) => new(-1, letter);
}
