using System.Runtime.InteropServices;
using NetVips;
using static NetVips.Enums;

namespace MedVlm.Imaging;

/// <summary>Decodes untrusted files to the RGB pixels that the models' reference code sees.</summary>
/// <remarks>
/// The reference is <c>transformers.image_utils.load_image</c>: Pillow's open, exif_transpose, convert("RGB"). Thread-safe; one image is
/// decoded by the thread that asks for it, strip by strip, so that libvips never holds more than a strip where the format allows.
/// </remarks>
internal static class ImageDecoder
{
    /// <summary>JPEG's and GIF's own maximum. It bounds the weight tables of a resize, which grow with the side, not with the area.</summary>
    const int MaxSide = 65_535;

    const int StripBytes = 256 * 1024;

    /// <summary>Decodes an image.</summary>
    /// <param name="encoded">The bytes of the file.</param>
    /// <param name="window">Which grey values become black and white; null for the full range of the type.</param>
    /// <param name="limits">What the image may ask for; checked before memory is taken.</param>
    /// <param name="cancellationToken">Looked at before each strip.</param>
    /// <exception cref="ImageException">The data is no readable image, is damaged, or goes beyond the limits.</exception>
    public static RgbImage Decode(ReadOnlyMemory<byte> encoded, GrayWindow? window, ImageLimits limits, CancellationToken cancellationToken)
    {
        ImageReader.CheckLength(encoded.Length, limits);
        var format = ImageFormat.Recognise(encoded.Span);
        if (format.ClaimedSize(encoded.Span) is var (claimedWidth, claimedHeight))
            CheckSize(format.Name, claimedWidth, claimedHeight, limits);
        LibVips.Start();
        using var source = Source.NewFromMemory(AsArray(encoded));
        using var image = Open(format, source);
        CheckSize(format.Name, image.Width, image.Height, limits);
        var layout = Layout(format, image);
        CheckWindow(format, layout, window);

        return Fetch(format, image, layout.PixelBytes, new RgbConverter(layout, window), cancellationToken).Orient(Orientation(image));
    }

    /// <exception cref="ImageException">The image has too many pixels.</exception>
    public static void CheckSize(string format, long width, long height, ImageLimits limits)
    {
        if (width > MaxSide || height > MaxSide)
            throw new ImageException($"The {format} is {width} x {height} pixels; no side may be longer than {MaxSide}. Cut or scale it down.");
        if (width * height > limits.MaxPixels)
            throw new ImageException(
                $"The {format} is {width} x {height} pixels, more than the {limits.MaxPixels} pixels that ImageLimits.MaxPixels allows. " +
                "Scale it down, or raise the limit if the source is trusted.");
    }

    static Image Open(ImageFormat format, Source source)
    {
        try
        {
            return format.Open(source);
        }
        catch (VipsException e)
        {
            throw new ImageException(
                $"The {format.Name} image cannot be opened: its header is damaged, or uses a variant that is not read. " +
                "Export it again, as 8-bit or 16-bit PNG if it keeps failing.", e);
        }
    }

    static RgbImage Fetch(
        ImageFormat format, Image image, int pixelBytes, RgbConverter converter, CancellationToken cancellationToken)
    {
        int width = image.Width, height = image.Height;
        var pixels = new RgbImage(width, height, new byte[checked(width * height * RgbImage.Channels)]);
        int rows = Math.Clamp(StripBytes / (width * pixelBytes), 1, height);
        using var region = Region.New(image);
        for (int y = 0; y < height; y += rows)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(rows, height - y);
            converter.Convert(Strip(y, count), pixels.Pixels.AsSpan(y * width * RgbImage.Channels, count * width * RgbImage.Channels));
        }

        return pixels;

        byte[] Strip(int y, int count)
        {
            try
            {
                return region.Fetch(0, y, width, count);
            }
            catch (VipsException e)
            {
                throw new ImageException(
                    $"The {format.Name} image is damaged or cut off: of its {width} x {height} pixels, rows {y} to {y + count - 1} cannot be decoded. " +
                    "Copy or export it again.", e);
            }
        }
    }

    static PixelLayout Layout(ImageFormat format, Image image)
    {
        PixelKind? kind = (image.Interpretation, image.Bands) switch
        {
            (Interpretation.Bw or Interpretation.Grey16 or Interpretation.Multiband, 1 or 2) => PixelKind.Gray,
            (Interpretation.Srgb or Interpretation.Rgb or Interpretation.Rgb16, 3 or 4) => PixelKind.Rgb,
            (Interpretation.Cmyk, 4 or 5) => PixelKind.Cmyk,   // libvips has turned the inverted ink of JPEG round, as Pillow does
            _ => null,
        };
        SampleType? sample = image.Format switch
        {
            BandFormat.Uchar => SampleType.Byte,
            BandFormat.Char => SampleType.SByte,
            BandFormat.Ushort => SampleType.UInt16,
            BandFormat.Short => SampleType.Int16,
            BandFormat.Uint => SampleType.UInt32,
            BandFormat.Int => SampleType.Int32,
            BandFormat.Float => SampleType.Single,
            // libvips opens no TIFF of 64-bit floating point.
            _ => null,
        };
        bool readable = kind switch
        {
            PixelKind.Gray => sample is not null,
            PixelKind.Rgb => sample is SampleType.Byte or SampleType.UInt16,
            PixelKind.Cmyk => sample is SampleType.Byte,
            _ => false,
        };
        return readable
            ? new(kind!.Value, sample!.Value, image.Bands)
            : throw new ImageException(
                $"The {format.Name} image has pixels of a kind that is not read: {image.Bands} channels of {image.Format}, {image.Interpretation}. " +
                "Convert it to 8-bit or 16-bit grey or RGB.");
    }

    static void CheckWindow(ImageFormat format, PixelLayout layout, GrayWindow? window)
    {
        if (window is null && RgbConverter.NeedsWindow(layout))
            throw new ImageException(
                $"The {format.Name} image has grey values of type {layout.Sample}, which has no natural black and white. Give a GrayWindow.");
        if (window is not null && layout.Kind != PixelKind.Gray)
            throw new ImageException($"The {format.Name} image is in colour, to which a GrayWindow does not apply. Leave the window out.");
    }

    static int Orientation(Image image) => image.Contains("orientation") && image.Get("orientation") is int orientation ? orientation : 1;

    /// <summary>The memory as an array, without a copy where it is a whole one.</summary>
    static byte[] AsArray(ReadOnlyMemory<byte> memory) =>
        MemoryMarshal.TryGetArray(memory, out var segment) && segment.Offset == 0 && segment.Count == segment.Array!.Length
            ? segment.Array
            : memory.ToArray();
}
