namespace MedVlm.ConsoleSample;

/// <summary>The files and folders of the command line as requests, each with an id of its own.</summary>
internal static class Inputs
{
    /// <summary>
    /// A file's id is its name, that of a file in a folder its path below the folder, with <c>/</c>. Where two inputs give one id, the
    /// name of the folder that they come from is put in front, and where that does not tell them apart, a number behind.
    /// A file that is named twice is captioned once.
    /// </summary>
    /// <exception cref="UsageException">No such file or folder, or no image in them.</exception>
    public static IReadOnlyList<CaptionRequest> Find(IReadOnlyList<string> paths)
    {
        var found = new List<(string Root, CaptionRequest Request)>();
        var seen = new HashSet<string>(OperatingSystem.IsWindows() ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal);
        foreach (var path in paths.Select(Path.GetFullPath))
        {
            if (Directory.Exists(path))
            {
                foreach (var request in InFolder(path))
                    if (seen.Add(Path.Combine(path, request.Id.Replace('/', Path.DirectorySeparatorChar))))
                        found.Add((Name(path), request));
            }
            else if (!File.Exists(path))
                throw new UsageException($"There is no file or folder \"{path}\".");
            else if (seen.Add(path))
                found.Add((Name(Path.GetDirectoryName(path)!), new CaptionRequest(MedicalImage.FromFile(path)) { Id = Path.GetFileName(path) }));
        }

        if (found.Count == 0)
            throw new UsageException("There is no image in these folders. Images are files that end in .jpg, .jpeg, .jpe, .png, .tif, .tiff, .webp, .gif or .avif.");
        return WithUniqueIds(found);
    }

    static IEnumerable<CaptionRequest> InFolder(string folder)
    {
        try
        {
            return [.. CaptionRequest.FromFolder(folder)];
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new UsageException($"The folder \"{folder}\" cannot be read: {e.Message}");
        }
    }

    static string Name(string folder) => Path.GetFileName(Path.TrimEndingDirectorySeparator(folder));

    static List<CaptionRequest> WithUniqueIds(List<(string Root, CaptionRequest Request)> found)
    {
        var doubled = found.GroupBy(input => input.Request.Id).Where(group => group.Count() > 1).Select(group => group.Key).ToHashSet();
        var taken = new HashSet<string>(found.Select(input => input.Request.Id).Where(id => !doubled.Contains(id)));
        return [.. found.Select(input => doubled.Contains(input.Request.Id) ? input.Request with { Id = Free($"{input.Root}/{input.Request.Id}") } : input.Request)];

        string Free(string id)
        {
            var free = id;
            for (int number = 2; !taken.Add(free); number++)
                free = $"{id} ({number})";
            return free;
        }
    }
}
