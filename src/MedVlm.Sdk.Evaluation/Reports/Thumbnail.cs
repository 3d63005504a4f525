using MedVlm.Imaging;

namespace MedVlm.Evaluation.Reports;

/// <summary>An image scaled down for a page, in the page itself.</summary>
/// <param name="Source">A data URI with a JPEG.</param>
/// <param name="Width">Width in pixels.</param>
/// <param name="Height">Height in pixels.</param>
internal sealed record Thumbnail(string Source, int Width, int Height)
{
    /// <exception cref="ImageException">The image cannot be read or decoded, or goes beyond the limits.</exception>
    public static async Task<Thumbnail> OfAsync(string path, int longestEdge, CancellationToken cancellationToken)
    {
        var image = await MedicalImage.FromFile(path).DecodeAsync(new ImageLimits(), cancellationToken).ConfigureAwait(false);
        double scale = Math.Min(1, (double)longestEdge / Math.Max(image.Width, image.Height));
        int width = Math.Max((int)Math.Round(image.Width * scale), 1), height = Math.Max((int)Math.Round(image.Height * scale), 1);
        var jpeg = JpegEncoder.Encode(image.Resize(width, height, Resample.Lanczos), quality: 85);
        return new Thumbnail("data:image/jpeg;base64," + Convert.ToBase64String(jpeg), width, height);
    }

    /// <summary>Those of many images, on all processors. Where there is none, what to say in its place.</summary>
    public static async Task<(Thumbnail? Image, string? Missing)[]> OfAllAsync(
        ImageFolder folder, IReadOnlyList<string> ids, int longestEdge, CancellationToken cancellationToken)
    {
        var images = new (Thumbnail?, string?)[ids.Count];
        await Parallel.ForAsync(0, ids.Count, cancellationToken, async (i, token) =>
        {
            try
            {
                images[i] = folder.Find(ids[i]) is { } path
                    ? (await OfAsync(path, longestEdge, token).ConfigureAwait(false), null)
                    : (null, "No image of this id in the folder.");
            }
            catch (ImageException e)
            {
                images[i] = (null, e.Message);
            }
        }).ConfigureAwait(false);
        return images;
    }
}
