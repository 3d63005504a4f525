using System.Diagnostics;
using System.Runtime.InteropServices;

namespace MedVlm.Imaging;

/// <summary>What the channels of a pixel mean.</summary>
internal enum PixelKind
{
    /// <summary>One channel of light.</summary>
    Gray,

    /// <summary>Red, green, blue.</summary>
    Rgb,

    /// <summary>Blue, green, red.</summary>
    Bgr,

    /// <summary>Ink, 0 = none: cyan, magenta, yellow, black.</summary>
    Cmyk,

    /// <summary>Ink, 255 = none, as JPEG files hold it.</summary>
    InvertedCmyk,
}

/// <summary>The number type of one sample, in the processor's byte order.</summary>
internal enum SampleType
{
    /// <summary>8 bits, unsigned.</summary>
    Byte,

    /// <summary>8 bits, signed.</summary>
    SByte,

    /// <summary>16 bits, unsigned.</summary>
    UInt16,

    /// <summary>16 bits, signed.</summary>
    Int16,

    /// <summary>32 bits, unsigned.</summary>
    UInt32,

    /// <summary>32 bits, signed.</summary>
    Int32,

    /// <summary>32-bit floating point.</summary>
    Single,

    /// <summary>64-bit floating point.</summary>
    Double,
}

/// <summary>How decoded pixels lie in memory, and the way from there to 8-bit RGB.</summary>
/// <remarks>
/// The way is the reference's (Pillow's <c>convert("RGB")</c>): grey is repeated, alpha and further channels are dropped, CMYK follows
/// <c>cmyk2rgb</c> of Pillow's Convert.c. It differs in one place on purpose: Pillow clips 16-bit grey at 255, which turns a
/// radiograph white; here the type's full range or a window is mapped to 0..255.
/// </remarks>
/// <param name="Kind">What the first channels mean.</param>
/// <param name="Sample">The number type of a channel.</param>
/// <param name="Channels">Channels per pixel, with alpha.</param>
internal readonly record struct PixelLayout(PixelKind Kind, SampleType Sample, int Channels)
{
    /// <summary>Bytes per pixel.</summary>
    public int PixelBytes => Channels * SampleBytes;

    /// <summary>Whether full range is undefined or useless, so that only a window says what black and white are.</summary>
    public bool NeedsWindow => Sample is SampleType.UInt32 or SampleType.Int32 or SampleType.Single or SampleType.Double;

    int SampleBytes => Sample switch
    {
        SampleType.Byte or SampleType.SByte => 1,
        SampleType.UInt16 or SampleType.Int16 => 2,
        SampleType.UInt32 or SampleType.Int32 or SampleType.Single => 4,
        SampleType.Double => 8,
        _ => throw new UnreachableException(),
    };

    /// <summary>The layout of a public pixel format.</summary>
    public static PixelLayout Of(PixelFormat format) => format switch
    {
        PixelFormat.Gray8 => new(PixelKind.Gray, SampleType.Byte, 1),
        PixelFormat.Gray16 => new(PixelKind.Gray, SampleType.UInt16, 1),
        PixelFormat.Rgb24 => new(PixelKind.Rgb, SampleType.Byte, 3),
        PixelFormat.Bgr24 => new(PixelKind.Bgr, SampleType.Byte, 3),
        PixelFormat.Rgba32 => new(PixelKind.Rgb, SampleType.Byte, 4),
        PixelFormat.Bgra32 => new(PixelKind.Bgr, SampleType.Byte, 4),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "Not a member of PixelFormat."),
    };

    /// <summary>Converts whole pixels; a window applies to grey.</summary>
    public void ToRgb(ReadOnlySpan<byte> pixels, Span<byte> rgb, GrayWindow? window)
    {
        int stride = PixelBytes;
        for (; rgb.Length >= RgbImage.Channels; rgb = rgb[RgbImage.Channels..], pixels = pixels[stride..])
            (rgb[0], rgb[1], rgb[2]) = Kind switch
            {
                PixelKind.Gray => Repeat(window is { } w ? w.Map(Value(pixels)) : Level(pixels, 0)),
                PixelKind.Rgb => (Level(pixels, 0), Level(pixels, 1), Level(pixels, 2)),
                PixelKind.Bgr => (Level(pixels, 2), Level(pixels, 1), Level(pixels, 0)),
                PixelKind.Cmyk => FromInk(pixels[0], pixels[1], pixels[2], pixels[3]),
                PixelKind.InvertedCmyk => FromInk((byte)~pixels[0], (byte)~pixels[1], (byte)~pixels[2], (byte)~pixels[3]),
                _ => throw new UnreachableException(),
            };
    }

    static (byte R, byte G, byte B) Repeat(byte gray) => (gray, gray, gray);

    /// <summary>The highest 8 bits of a sample, counted from the type's smallest value: the full range is mapped to 0..255.</summary>
    byte Level(ReadOnlySpan<byte> pixel, int channel) => Sample switch
    {
        SampleType.Byte => pixel[channel],
        SampleType.SByte => (byte)(pixel[channel] ^ 0x80),
        SampleType.UInt16 => (byte)(MemoryMarshal.Read<ushort>(pixel[(2 * channel)..]) >> 8),
        SampleType.Int16 => (byte)((MemoryMarshal.Read<ushort>(pixel[(2 * channel)..]) >> 8) ^ 0x80),
        _ => throw new UnreachableException(),
    };

    /// <summary>The first channel as a number.</summary>
    double Value(ReadOnlySpan<byte> pixel) => Sample switch
    {
        SampleType.Byte => pixel[0],
        SampleType.SByte => (sbyte)pixel[0],
        SampleType.UInt16 => MemoryMarshal.Read<ushort>(pixel),
        SampleType.Int16 => MemoryMarshal.Read<short>(pixel),
        SampleType.UInt32 => MemoryMarshal.Read<uint>(pixel),
        SampleType.Int32 => MemoryMarshal.Read<int>(pixel),
        SampleType.Single => MemoryMarshal.Read<float>(pixel),
        SampleType.Double => MemoryMarshal.Read<double>(pixel),
        _ => throw new UnreachableException(),
    };

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
