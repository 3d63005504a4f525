using NetVips;

namespace MedVlm.Imaging;

/// <summary>Pixels as a PNG file, for a backend that takes files.</summary>
internal static class PngEncoder
{
    /// <summary>Encodes an image without loss, and without metadata.</summary>
    public static byte[] Encode(RgbImage image)
    {
        LibVips.Start();
        using var vips = Image.NewFromMemory(image.Pixels, image.Width, image.Height, RgbImage.Channels, Enums.BandFormat.Uchar);
        using var srgb = vips.Copy(interpretation: Enums.Interpretation.Srgb);
        return srgb.PngsaveBuffer(keep: Enums.ForeignKeep.None);
    }
}
