namespace MedVlm.Evaluation.Reports;

/// <summary>Finds the image of an id in a folder and the folders below it.</summary>
/// <remarks>
/// An id is an image's path below the folder, with <c>/</c>, or the name of its file, each with or without the ending. Ids come from
/// files that nobody checked: they are looked up among the files that are there, and never become a path themselves. Safe to use from
/// many threads.
/// </remarks>
public sealed class ImageFolder
{
    readonly Dictionary<string, string?> _paths = new(StringComparer.Ordinal);

    /// <summary>Lists a folder. Images that are added later are not found.</summary>
    /// <param name="folder">The folder. As in <see cref="CaptionRequest.FromFolder"/>, hidden files and links to folders are left out.</param>
    /// <exception cref="DirectoryNotFoundException">No such folder.</exception>
    /// <exception cref="UnauthorizedAccessException">A folder may not be read.</exception>
    public ImageFolder(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        List<string> files = [.. CaptionRequest.FromFolder(folder).Select(image => image.Id)];   // paths below the folder, with /
        Count = files.Count;
        // The closer name wins; a name that is left ambiguous leads nowhere.
        foreach (var name in (Func<string, string>[])[path => path, WithoutEnding, path => Path.GetFileName(path), path => WithoutEnding(Path.GetFileName(path))])
            foreach (var group in files.GroupBy(name).Where(group => !_paths.ContainsKey(group.Key)).ToList())
                _paths.Add(group.Key, group.Count() == 1 ? Path.Combine(folder, group.First()) : null);
    }

    /// <summary>How many images there are.</summary>
    public int Count { get; }

    /// <summary>The path of an id's image; null if there is none, or if several files fit.</summary>
    /// <param name="id">The id.</param>
    public string? Find(string id) => _paths.GetValueOrDefault(id);

    static string WithoutEnding(string name) => name[..^Path.GetExtension(name).Length];
}
