using System.ComponentModel.DataAnnotations;

namespace MedVlm;

/// <summary>What an image may ask for before it is refused with an <see cref="ImageException"/>: a guard against hostile files.</summary>
/// <remarks>Both are checked against the file's length and header, before memory for the pixels is taken. Set them before use; reading is thread-safe.</remarks>
public sealed class ImageLimits
{
    /// <summary>Width times height of an image, in pixels. Default: 100 000 000.</summary>
    /// <remarks>Four times the largest radiographs (about 25 megapixels); a decoded pixel takes 3 bytes, so 300 MB at most.</remarks>
    [Range(1, 700_000_000)] public int MaxPixels { get; set; } = 100_000_000;

    /// <summary>Length of an encoded image, in bytes. Default: 268 435 456 (256 MiB).</summary>
    /// <remarks>Enough for the default <see cref="MaxPixels"/> in 16-bit grey without compression.</remarks>
    [Range(1, 2_147_483_591)] public int MaxBytes { get; set; } = 256 * 1024 * 1024;
}
