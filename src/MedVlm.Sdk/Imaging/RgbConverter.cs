using System.Diagnostics;
using System.Runtime.InteropServices;

namespace MedVlm.Imaging;

/// <summary>The way from decoded pixels to 8-bit RGB.</summary>
/// <remarks>
/// It is the reference's (Pillow's <c>convert("RGB")</c>): grey is repeated, alpha and further channels are dropped, 16-bit colour keeps
/// its high bytes, CMYK follows <c>cmyk2rgb</c> of Pillow's Convert.c. It differs in one place on purpose: Pillow clips 16-bit grey at
/// 255, which turns a radiograph white; here the type's full range, or the window, is mapped to 0..255. Thread-safe.
/// </remarks>
internal sealed class RgbConverter
{
    readonly PixelLayout _layout;
    readonly GrayWindow? _window;
    readonly byte[]? _levels;   // of each 8-bit or 16-bit grey value, by its bits

    /// <summary>A converter for pixels of one layout; a window is for grey, and 32-bit grey cannot do without.</summary>
    public RgbConverter(PixelLayout layout, GrayWindow? window)
    {
        Debug.Assert(window is null || layout.Kind == PixelKind.Gray);
        Debug.Assert(window is not null || !NeedsWindow(layout));
        (_layout, _window) = (layout, window);
        if (layout.Kind == PixelKind.Gray && layout.SampleBytes <= 2)
            _levels = Levels(layout.Sample, window);
    }

    /// <summary>Whether only a window says what black and white are: nobody uses the full range of 32-bit numbers.</summary>
    public static bool NeedsWindow(PixelLayout layout) => layout.Kind == PixelKind.Gray && layout.SampleBytes > 2;

    /// <summary>Converts whole pixels [n, channels] to [n, 3].</summary>
    public void Convert(ReadOnlySpan<byte> pixels, Span<byte> rgb)
    {
        if (_layout is { Kind: PixelKind.Rgb, Sample: SampleType.Byte, Channels: RgbImage.Channels })
            pixels.CopyTo(rgb);
        else if (_layout.Kind == PixelKind.Gray)
            ConvertGray(pixels, rgb);
        else
            ConvertColour(pixels, rgb);
    }

    void ConvertColour(ReadOnlySpan<byte> pixels, Span<byte> rgb)
    {
        int stride = _layout.PixelBytes;
        for (int from = 0, to = 0; to < rgb.Length; from += stride, to += RgbImage.Channels)
        {
            var pixel = pixels.Slice(from, stride);
            (rgb[to], rgb[to + 1], rgb[to + 2]) = _layout.Kind switch
            {
                PixelKind.Rgb => (High(pixel, 0), High(pixel, 1), High(pixel, 2)),
                PixelKind.Bgr => (High(pixel, 2), High(pixel, 1), High(pixel, 0)),
                PixelKind.Cmyk => FromInk(pixel[0], pixel[1], pixel[2], pixel[3]),
                _ => throw new UnreachableException(),
            };
        }
    }

    void ConvertGray(ReadOnlySpan<byte> pixels, Span<byte> rgb)
    {
        int channels = _layout.Channels;
        switch (_layout.Sample)
        {
            case SampleType.Byte or SampleType.SByte:
                for (int i = 0; i * RgbImage.Channels < rgb.Length; i++)
                    Repeat(_levels![pixels[i * channels]], rgb, i);
                break;
            case SampleType.UInt16 or SampleType.Int16:
                var samples = MemoryMarshal.Cast<byte, ushort>(pixels);
                for (int i = 0; i * RgbImage.Channels < rgb.Length; i++)
                    Repeat(_levels![samples[i * channels]], rgb, i);
                break;
            default:
                for (int i = 0; i * RgbImage.Channels < rgb.Length; i++)
                    Repeat(_window!.Value.Map(Number(pixels[(i * _layout.PixelBytes)..])), rgb, i);
                break;
        }
    }

    static void Repeat(byte gray, Span<byte> rgb, int pixel) => rgb.Slice(pixel * RgbImage.Channels, RgbImage.Channels).Fill(gray);

    double Number(ReadOnlySpan<byte> sample) => _layout.Sample switch
    {
        SampleType.UInt32 => MemoryMarshal.Read<uint>(sample),
        SampleType.Int32 => MemoryMarshal.Read<int>(sample),
        SampleType.Single => MemoryMarshal.Read<float>(sample),
        _ => throw new UnreachableException(),
    };

    /// <summary>The high 8 bits of an unsigned sample.</summary>
    byte High(ReadOnlySpan<byte> pixel, int channel) =>
        _layout.Sample == SampleType.Byte ? pixel[channel] : (byte)(MemoryMarshal.Read<ushort>(pixel[(2 * channel)..]) >> 8);

    /// <summary>Full range: the high 8 bits, counted from the type's smallest value.</summary>
    static byte[] Levels(SampleType sample, GrayWindow? window)
    {
        var levels = new byte[sample is SampleType.Byte or SampleType.SByte ? 1 << 8 : 1 << 16];
        for (int bits = 0; bits < levels.Length; bits++)
            levels[bits] = sample switch
            {
                SampleType.Byte => window?.Map(bits) ?? (byte)bits,
                SampleType.SByte => window?.Map((sbyte)bits) ?? (byte)(bits ^ 0x80),
                SampleType.UInt16 => window?.Map(bits) ?? (byte)(bits >> 8),
                SampleType.Int16 => window?.Map((short)bits) ?? (byte)((bits ^ 0x8000) >> 8),
                _ => throw new UnreachableException(),
            };
        return levels;
    }

    static (byte R, byte G, byte B) FromInk(byte cyan, byte magenta, byte yellow, byte black)
    {
        int light = 255 - black;
        return (Channel(cyan), Channel(magenta), Channel(yellow));

        byte Channel(int ink)
        {
            int t = ink * light + 128;
            return (byte)Math.Clamp(light - (((t >> 8) + t) >> 8), 0, 255);
        }
    }
}
