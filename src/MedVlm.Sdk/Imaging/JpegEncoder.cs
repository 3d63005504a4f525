using NetVips;

namespace MedVlm.Imaging;

/// <summary>Pixels as a JPEG file, for pages that show an image small.</summary>
internal static class JpegEncoder
{
    /// <summary>Encodes an image, without metadata.</summary>
    /// <param name="image">The image.</param>
    /// <param name="quality">1 to 100.</param>
    public static byte[] Encode(RgbImage image, int quality)
    {
        LibVips.Start();
        using var vips = Image.NewFromMemory(image.Pixels, image.Width, image.Height, RgbImage.Channels, Enums.BandFormat.Uchar);
        using var srgb = vips.Copy(interpretation: Enums.Interpretation.Srgb);
        return srgb.JpegsaveBuffer(q: quality, optimizeCoding: true, keep: Enums.ForeignKeep.None);
    }
}
