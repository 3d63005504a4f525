namespace MedVlm.Checkpoints;

/// <summary>
/// Paths as the system follows them. A relative link in a linked folder goes on from that folder's target, where .NET's ResolveLinkTarget goes on from
/// the link: a folder of the hub cache, whose files are such links, that is reached by a link of its own would have none of its files.
/// </summary>
internal static class RealPath
{
    // As Linux counts them.
    const int MostLinks = 40;

    static readonly char[] s_separators = [Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar];

    /// <summary>The path without any link in it. What is not there stays as it is written.</summary>
    /// <exception cref="IOException">Links lead in a circle.</exception>
    public static string Of(string path)
    {
        path = Path.GetFullPath(path);
        var (real, rest) = (Path.GetPathRoot(path)!, new Stack<string>());
        Push(path[real.Length..]);
        for (int links = 0; rest.TryPop(out var segment);)
            if (segment == "..")
                real = Path.GetDirectoryName(real) ?? real;
            else if (segment is not ("" or "."))
            {
                var next = Path.Combine(real, segment);
                if (new FileInfo(next).LinkTarget is not { } target)
                {
                    real = next;
                    continue;
                }
                if (++links > MostLinks)
                    throw new IOException("Links lead in a circle.");
                if (Path.IsPathFullyQualified(target))
                    (real, target) = (Path.GetPathRoot(target)!, target[Path.GetPathRoot(target)!.Length..]);
                Push(target);
            }
        return real;

        void Push(string segments)
        {
            foreach (var segment in segments.Split(s_separators).Reverse())
                rest.Push(segment);
        }
    }
}
