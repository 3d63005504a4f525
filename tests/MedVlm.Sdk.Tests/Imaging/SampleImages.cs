using MedVlm.Imaging;
using NetVips;

namespace MedVlm.Tests.Imaging;

/// <summary>Small valid files of each format, encoded by libvips from computed pixels.</summary>
internal static class SampleImages
{
    public const int Width = 61, Height = 37;

    static SampleImages() => LibVips.Start();

    /// <summary>Samples [height, width, bands] that differ from each other: a gradient over the type's range.</summary>
    public static byte[] Bytes(int bands, int width = Width, int height = Height)
    {
        var bytes = new byte[width * height * bands];
        for (int i = 0; i < bytes.Length; i++)
            bytes[i] = (byte)(i * 7 + i / 251 * 3);
        return bytes;
    }

    public static byte[] Encode(byte[] samples, int bands, string suffix, Enums.BandFormat format = Enums.BandFormat.Uchar,
        Enums.Interpretation? interpretation = null, VOption? options = null, int width = Width, int height = Height)
    {
        using var raw = Image.NewFromMemory(samples, width, height, bands, format);
        using var image = raw.Copy(interpretation: interpretation ?? Natural(bands, format));
        return image.WriteToBuffer(suffix, options ?? []);
    }

    /// <summary>One valid file per line: what the damage and fuzz tests start from.</summary>
    public static IReadOnlyDictionary<string, byte[]> All { get; } = new Dictionary<string, byte[]>
    {
        ["JPEG"] = Encode(Bytes(3), 3, ".jpg"),
        ["JPEG progressive"] = Encode(Bytes(3), 3, ".jpg", options: new() { { "interlace", true } }),
        ["JPEG grey"] = Encode(Bytes(1), 1, ".jpg"),
        ["JPEG CMYK"] = Encode(Bytes(4), 4, ".jpg", interpretation: Enums.Interpretation.Cmyk),
        ["PNG"] = Encode(Bytes(4), 4, ".png"),
        ["PNG interlaced"] = Encode(Bytes(3), 3, ".png", options: new() { { "interlace", true } }),
        ["PNG palette"] = Encode(Bytes(3), 3, ".png", options: new() { { "palette", true }, { "bitdepth", 4 } }),
        ["PNG 16-bit"] = Encode(Bytes(2), 1, ".png", Enums.BandFormat.Ushort),
        ["TIFF"] = Encode(Bytes(3), 3, ".tif"),
        ["TIFF 16-bit"] = Encode(Bytes(2), 1, ".tif", Enums.BandFormat.Ushort, options: new() { { "compression", Enums.ForeignTiffCompression.Deflate } }),
        ["TIFF tiled"] = Encode(Bytes(3), 3, ".tif", options: new() { { "tile", true }, { "compression", Enums.ForeignTiffCompression.Jpeg } }),
        ["TIFF LZW"] = Encode(Bytes(3), 3, ".tif", options: new() { { "compression", Enums.ForeignTiffCompression.Lzw } }),
        ["WebP"] = Encode(Bytes(3), 3, ".webp"),
        ["WebP lossless"] = Encode(Bytes(4), 4, ".webp", options: new() { { "lossless", true }, { "exact", true } }),
        ["GIF"] = Encode(Bytes(3), 3, ".gif"),
        ["AVIF"] = Encode(Bytes(3), 3, ".avif"),
    };

    static Enums.Interpretation Natural(int bands, Enums.BandFormat format) => (bands, format) switch
    {
        ( <= 2, Enums.BandFormat.Ushort) => Enums.Interpretation.Grey16,
        ( <= 2, _) => Enums.Interpretation.Bw,
        (_, Enums.BandFormat.Ushort) => Enums.Interpretation.Rgb16,
        _ => Enums.Interpretation.Srgb,
    };
}
