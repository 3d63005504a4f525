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
    /// relative to the folder, with <c>/</c> between the parts. Files are opened only when they are captioned.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">What the captions should be like.</param>
    /// <exception cref="DirectoryNotFoundException">No such folder.</exception>
    public static IEnumerable<CaptionRequest> FromFolder(string folder, CaptionOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"No folder \"{folder}\".");

        return Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Where(path => s_endings.Contains(Path.GetExtension(path)))
            .Select(path => (Path: path, Id: Path.GetRelativePath(folder, path).Replace('\\', '/')))
            .OrderBy(file => file.Id, StringComparer.Ordinal)
            .Select(file => new CaptionRequest(MedicalImage.FromFile(file.Path)) { Id = file.Id, Options = options });
    }

    static readonly HashSet<string> s_endings = new(StringComparer.OrdinalIgnoreCase)
    {
        ".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".gif",
    };
}
