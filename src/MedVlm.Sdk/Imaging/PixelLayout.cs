using System.Diagnostics;

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
}

/// <summary>How decoded pixels lie in memory, without padding.</summary>
/// <param name="Kind">What the first channels mean.</param>
/// <param name="Sample">The number type of a channel.</param>
/// <param name="Channels">Channels per pixel, with alpha.</param>
internal readonly record struct PixelLayout(PixelKind Kind, SampleType Sample, int Channels)
{
    /// <summary>Bytes per pixel.</summary>
    public int PixelBytes => Channels * SampleBytes;

    /// <summary>Bytes per channel.</summary>
    public int SampleBytes => Sample switch
    {
        SampleType.Byte or SampleType.SByte => 1,
        SampleType.UInt16 or SampleType.Int16 => 2,
        SampleType.UInt32 or SampleType.Int32 or SampleType.Single => 4,
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
}
