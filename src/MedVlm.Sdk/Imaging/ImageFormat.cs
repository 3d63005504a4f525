using NetVips;

namespace MedVlm.Imaging;

/// <summary>A file format that is read, known by its first bytes and opened by its own loader alone.</summary>
/// <remarks>
/// libvips is never asked to guess: a guess would lead hostile files to loaders that nobody here has tested. Two formats are not the
/// reference's to the last bit: a transparent pixel of a GIF is black, where Pillow looks up its palette colour, and AVIF and lossy
/// WebP have other decoder versions behind them.
/// </remarks>
/// <param name="Name">As in error messages.</param>
/// <param name="Open">Reads the header; pixels follow when they are fetched, from top to bottom.</param>
internal sealed record ImageFormat(string Name, Func<Source, Image> Open)
{
    // Error: damage is an error, a warning of the decoder (such as an odd colour profile) is not.
    const Enums.FailOn Strict = Enums.FailOn.Error;
    const Enums.Access TopDown = Enums.Access.Sequential;

    static readonly ImageFormat Jpeg = new("JPEG", source => Image.JpegloadSource(source, access: TopDown, failOn: Strict));
    static readonly ImageFormat Png = new("PNG", source => Image.PngloadSource(source, access: TopDown, failOn: Strict));
    static readonly ImageFormat Tiff = new("TIFF", source => Image.TiffloadSource(source, access: TopDown, failOn: Strict));
    static readonly ImageFormat WebP = new("WebP", source => Image.WebploadSource(source, access: TopDown, failOn: Strict));
    static readonly ImageFormat Gif = new("GIF", source => Image.GifloadSource(source, access: TopDown, failOn: Strict));
    static readonly ImageFormat Avif = new("AVIF", source => Image.HeifloadSource(source, access: TopDown, failOn: Strict));

    static ReadOnlySpan<byte> JpegMark => [0xFF, 0xD8, 0xFF];

    static ReadOnlySpan<byte> PngMark => [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>Width and height to check before libvips sees the file; null where libvips can be trusted to read them.</summary>
    public (long Width, long Height)? ClaimedSize(ReadOnlySpan<byte> file) => this == Avif ? AvifBoxes.ClaimedSize(file) : null;

    /// <summary>What the file says it is.</summary>
    /// <exception cref="ImageException">It is none of the formats above.</exception>
    public static ImageFormat Recognise(ReadOnlySpan<byte> file)
    {
        if (file.IsEmpty)
            throw new ImageException("The image is empty: it has 0 bytes. Copy or export it again.");
        if (file.StartsWith(JpegMark))
            return Jpeg;
        if (file.StartsWith(PngMark))
            return Png;
        if (file.StartsWith("II*\0"u8) || file.StartsWith("MM\0*"u8) || file.StartsWith("II+\0"u8) || file.StartsWith("MM\0+"u8))
            return Tiff;
        if (file.StartsWith("RIFF"u8) && Has(file, 8, "WEBP"u8))
            return WebP;
        if (file.StartsWith("GIF87a"u8) || file.StartsWith("GIF89a"u8))
            return Gif;
        if (Has(file, 4, "ftypavif"u8))
            return Avif;
        if (Has(file, 128, "DICM"u8))
            throw new ImageException("The image is a DICOM file, which is not read yet. Convert it to PNG or TIFF (16-bit grey keeps its depth).");
        throw new ImageException("The data is in no image format that is read: JPEG, PNG, TIFF, WebP, GIF, AVIF. Convert it to one of these.");
    }

    static bool Has(ReadOnlySpan<byte> file, int at, ReadOnlySpan<byte> mark) => file.Length >= at && file[at..].StartsWith(mark);
}
