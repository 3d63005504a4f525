namespace MedVlm.Graphs;

/// <summary>A value in a graph under construction: what a word takes and gives.</summary>
/// <param name="Graph">The graph that computes it.</param>
/// <param name="Name">Its name in the graph.</param>
/// <param name="Width">Size of the last dimension, where a word needs it to check a weight; 0 where it is not known.</param>
internal sealed record Tensor(GraphBuilder Graph, string Name, int Width)
{
    /// <summary>The norm that made it; null if another word did.</summary>
    public NormUse? Norm { get; init; }

    public static Tensor operator +(Tensor a, Tensor b) => a.Graph.Node("Add", [a, b], a.Width);

    public static Tensor operator -(Tensor a, Tensor b) => a.Graph.Node("Sub", [a, b], a.Width);

    public static Tensor operator *(Tensor a, Tensor b) => a.Graph.Node("Mul", [a, b], a.Width);

    /// <summary>The same values in another shape; 0 keeps a dimension, -1 takes the rest (ONNX Reshape).</summary>
    public Tensor Reshape(params long[] shape) =>
        Graph.Node("Reshape", [this, Graph.Constant(shape)], shape[^1] > 0 ? (int)shape[^1] : Width);

    /// <summary>Matrix product, [N, M] and [M, C] to [N, C].</summary>
    public Tensor MatMul(Tensor other) => Graph.Node("MatMul", [this, other], other.Width);

    /// <summary>Puts another value beside this one, along the last dimension.</summary>
    public Tensor Concat(Tensor other) => Graph.Node("Concat", [this, other], Width + other.Width, [("axis", -1)]);

    /// <summary>Lays each row of the last dimension some times one after another, [..., C] to [..., times·C].</summary>
    public Tensor Repeat(int times) => Graph.Node("Concat", [.. Enumerable.Repeat(this, times)], Width * times, [("axis", -1)]);

    /// <summary>Cuts the last dimension into parts of these widths.</summary>
    public Tensor[] Split(params int[] widths) =>
        Graph.Node("Split", [this, Graph.Constant([.. widths.Select(width => (long)width)])], widths, [("axis", -1)]);

    /// <summary>The first of a number of values along a dimension.</summary>
    public Tensor First(int count, int of, int axis) => Graph.Node("Split", [this, Graph.Constant(count, of - count)], [Width, Width], [("axis", axis)])[0];

    /// <summary>Tensors one after another along a dimension; the others are the same in all.</summary>
    public static Tensor Concat(int axis, params Tensor[] parts) => parts[0].Graph.Node("Concat", parts, parts[0].Width, [("axis", axis)]);

    /// <summary>Zeros at the end of the last dimension.</summary>
    public Tensor PadEnd(int rank, int count) =>
        Graph.Node("Pad", [this, Graph.Constant([.. new long[2 * rank - 1], count])], Width + count);

    public Tensor Transpose(params long[] permutation) =>
        Graph.Node("Transpose", [this], permutation[^1] == permutation.Length - 1 ? Width : 0, [("perm", permutation)]);
}
