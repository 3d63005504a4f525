using System.IO.Enumeration;

namespace MedVlm;

/// <summary>One caption to write: an image, or several that belong together, and what is wanted. Immutable.</summary>
public sealed record CaptionRequest
{
    /// <summary>Asks for the caption of one image.</summary>
    /// <param name="image">The image.</param>
    public CaptionRequest(MedicalImage image) : this([image ?? throw new ArgumentNullException(nameof(image))]) { }

    /// <summary>Asks for one caption of several images, which the model sees in this order.</summary>
    /// <param name="images">At least one image.</param>
    /// <exception cref="ArgumentException">No image.</exception>
    public CaptionRequest(IReadOnlyList<MedicalImage> images)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.Count == 0)
            throw new ArgumentException("A caption needs at least one image.", nameof(images));
        Images = [.. images];
    }

    /// <summary>What the caller calls this request: comes back with its result, goes into no log or message. Default: empty.</summary>
    public string Id { get; init; } = "";

    /// <summary>The images, at least one.</summary>
    public IReadOnlyList<MedicalImage> Images { get; }

    /// <summary>What the caption should be like. Default: null, the captioner's own.</summary>
    public CaptionOptions? Options { get; init; }

    /// <summary>
    /// One request for each image file in a folder and the folders below it, in ordinal order of their paths. The id of each is its path
    /// relative to the folder, with <c>/</c> between the parts. Files are opened only when they are captioned. Hidden files and folders,
    /// and links to folders, are left out; <see cref="MedicalImage.IsImageFile"/> tells which files are images.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">What the captions should be like.</param>
    /// <exception cref="DirectoryNotFoundException">No such folder.</exception>
    /// <exception cref="UnauthorizedAccessException">A folder may not be read, while the result is enumerated: no image is left out in silence.</exception>
    public static IEnumerable<CaptionRequest> FromFolder(string folder, CaptionOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"No folder \"{folder}\".");

        return ImageFiles(folder)
            .Select(path => (Path: path, Id: Path.GetRelativePath(folder, path).Replace(Path.DirectorySeparatorChar, '/')))
            .OrderBy(file => file.Id, StringComparer.Ordinal)
            .Select(file => new CaptionRequest(MedicalImage.FromFile(file.Path)) { Id = file.Id, Options = options });
    }

    // A link to a folder may lead back up; a link to a file is an image like any other (caches consist of them).
    static FileSystemEnumerable<string> ImageFiles(string folder) => new(
        folder, (ref FileSystemEntry entry) => entry.ToFullPath(),
        new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = false, AttributesToSkip = FileAttributes.Hidden })
    {
        ShouldIncludePredicate = (ref FileSystemEntry entry) => !entry.IsDirectory && MedicalImage.IsImageFile(entry.FileName.ToString()),
        ShouldRecursePredicate = (ref FileSystemEntry entry) => !entry.Attributes.HasFlag(FileAttributes.ReparsePoint),
    };
}
