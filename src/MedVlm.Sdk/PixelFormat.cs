namespace MedVlm;

/// <summary>How raw pixels lie in memory: row by row from the top, without padding between rows.</summary>
public enum PixelFormat
{
    /// <summary>One byte per pixel; 255 is white.</summary>
    Gray8,

    /// <summary>Two bytes per pixel, unsigned, little-endian; 65535 is white unless a <see cref="GrayWindow"/> says otherwise.</summary>
    Gray16,

    /// <summary>Three bytes per pixel: red, green, blue.</summary>
    Rgb24,

    /// <summary>Three bytes per pixel: blue, green, red.</summary>
    Bgr24,

    /// <summary>Four bytes per pixel: red, green, blue, alpha. Alpha is dropped, not blended.</summary>
    Rgba32,

    /// <summary>Four bytes per pixel: blue, green, red, alpha. Alpha is dropped, not blended.</summary>
    Bgra32,
}
