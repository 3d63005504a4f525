namespace MedVlm.Datasets;

/// <summary>Where a path of a data set leads: a relative one must stay in the data set's folder, whatever it says.</summary>
internal static class ContainedPath
{
    /// <summary>The full path, or what is wrong with it.</summary>
    /// <param name="root">The data set's folder, as a full path.</param>
    /// <param name="path">The path as the data set writes it, with <c>/</c> or the system's separator.</param>
    public static (string? FullPath, string? Fault) Resolve(string root, string path)
    {
        if (string.IsNullOrWhiteSpace(path))
            return (null, "The row names no image.");
        if (path.Contains('\0'))
            return (null, "The row's path holds a NUL character.");
        try
        {
            if (Path.IsPathFullyQualified(path))
                return (Path.GetFullPath(path), null);

            // "\images" and "C:images" are relative on Windows, but not to our folder.
            var full = Path.GetFullPath(path, root);
            return !Path.IsPathRooted(path) && full.StartsWith(WithSeparator(root), StringComparison.Ordinal)
                ? (full, null)
                : (null, "The row's path leads out of the data set's folder. Write it as an absolute path if it is meant so.");
        }
        catch (Exception e) when (e is ArgumentException or PathTooLongException or NotSupportedException)
        {
            return (null, "The row's path is none on this system.");
        }
    }

    static string WithSeparator(string folder) => Path.EndsInDirectorySeparator(folder) ? folder : folder + Path.DirectorySeparatorChar;
}
