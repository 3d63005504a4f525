using System.Security.Cryptography;
using System.Text;
using MedVlm.Imaging;

namespace MedVlm;

/// <summary>An image to caption: a file, an encoded image in memory, or raw pixels.</summary>
/// <remarks>
/// Immutable and safe to use from many threads and for many captions; it holds nothing that needs disposal. JPEG, PNG, TIFF, WebP, GIF
/// (first frame) and AVIF are read. The image is decoded when it is captioned, so a damaged one fails there, with an
/// <see cref="ImageException"/>. The pixels are those that the models' reference code sees: the EXIF orientation is applied, alpha is
/// dropped, a palette is looked up, CMYK is converted without a colour profile. 16-bit images use their type's full range
/// (65535 is white) unless a <see cref="GrayWindow"/> is given.
/// </remarks>
public sealed class MedicalImage
{
    /// <summary>Reads and decodes; shows the image itself what was read.</summary>
    readonly Func<MedicalImage, ImageLimits, CancellationToken, ValueTask<RgbImage>> _decode;

    readonly bool _keyed;

    MedicalImage(Func<MedicalImage, ImageLimits, CancellationToken, ValueTask<RgbImage>> decode, bool keyed = false) =>
        (_decode, _keyed) = (decode, keyed);

    static readonly HashSet<string> s_endings = new(StringComparer.OrdinalIgnoreCase)
    {
        ".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".gif", ".avif",
    };

    /// <summary>Whether a file's name ends as those of the formats that are read: a guess before the file is opened.</summary>
    /// <param name="path">Path or name of the file, which need not be there.</param>
    public static bool IsImageFile(string path) => s_endings.Contains(Path.GetExtension(path ?? ""));

    /// <summary>An image file. It is opened each time the image is captioned, not before, and closed again at once.</summary>
    /// <param name="path">Path of the file.</param>
    /// <param name="window">Which grey values become black and white; for grey images only. Default: the full range of the file's type.</param>
    /// <returns>The image. A file that is missing or unreadable fails when it is captioned, with an <see cref="ImageException"/>.</returns>
    /// <exception cref="ArgumentException"><paramref name="path"/> is null or empty.</exception>
    public static MedicalImage FromFile(string path, GrayWindow? window = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new(async (image, limits, cancellationToken) =>
        {
            var encoded = await ImageReader.ReadFileAsync(path, limits, cancellationToken).ConfigureAwait(false);
            image.KeepKey(default, encoded);
            return ImageDecoder.Decode(encoded, window, limits, cancellationToken);
        });
    }

    /// <summary>An encoded image in memory.</summary>
    /// <param name="encoded">The bytes of the file. They are not copied: leave them unchanged while the image is in use.</param>
    /// <param name="window">Which grey values become black and white; for grey images only. Default: the full range of the file's type.</param>
    /// <returns>The image.</returns>
    public static MedicalImage FromBytes(ReadOnlyMemory<byte> encoded, GrayWindow? window = null) =>
        new((image, limits, cancellationToken) =>
        {
            image.KeepKey(default, encoded.Span);
            return new(ImageDecoder.Decode(encoded, window, limits, cancellationToken));
        });

    /// <summary>Reads an encoded image from a stream, from its position to its end.</summary>
    /// <param name="stream">The stream. It is read before this method's task completes, and stays the caller's to dispose.</param>
    /// <param name="window">Which grey values become black and white; for grey images only. Default: the full range of the file's type.</param>
    /// <param name="limits">How long the encoded image may be. Default: <see cref="ImageLimits"/>'s defaults.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <returns>The image, which no longer needs the stream.</returns>
    /// <exception cref="ImageException">The stream is longer than <see cref="ImageLimits.MaxBytes"/>, or reading it fails.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public static async ValueTask<MedicalImage> FromStreamAsync(
        Stream stream, GrayWindow? window = null, ImageLimits? limits = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return FromBytes(await ImageReader.ReadAsync(stream, limits ?? new(), cancellationToken).ConfigureAwait(false), window);
    }

    /// <summary>Raw pixels, row by row from the top, without padding between rows.</summary>
    /// <param name="pixels">The pixels. They are not copied: leave them unchanged while the image is in use.</param>
    /// <param name="width">Width in pixels.</param>
    /// <param name="height">Height in pixels.</param>
    /// <param name="format">How a pixel lies in memory.</param>
    /// <param name="window">Which grey values become black and white; for the grey formats only. Default: the full range of the type.</param>
    /// <returns>The image.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A side is less than 1, or <paramref name="format"/> is not a member of the enumeration.</exception>
    /// <exception cref="ArgumentException">The length does not fit the size and format, or a colour format has a window.</exception>
    public static MedicalImage FromPixels(
        ReadOnlyMemory<byte> pixels, int width, int height, PixelFormat format, GrayWindow? window = null)
    {
        var layout = PixelLayout.Of(format);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        long expected = (long)width * layout.PixelBytes * height;
        if (pixels.Length != expected)
            throw new ArgumentException(
                $"{width} x {height} pixels of {format} are {expected} bytes without padding between rows, but {pixels.Length} were given.", nameof(pixels));
        if (window is not null && layout.Kind != PixelKind.Gray)
            throw new ArgumentException($"A grey window does not apply to {format}: leave it out.", nameof(window));

        return new((image, limits, cancellationToken) =>
        {
            ImageDecoder.CheckSize("image", width, height, limits);
            cancellationToken.ThrowIfCancellationRequested();
            image.KeepKey(Encoding.ASCII.GetBytes($"{width}x{height} {format}\n"), pixels.Span);
            var rgb = new byte[checked(width * height * RgbImage.Channels)];
            new RgbConverter(layout, window).Convert(pixels.Span, rgb);
            return new(new RgbImage(width, height, rgb));
        });
    }

    /// <summary>Reads and decodes the image, on the calling thread once the file is read.</summary>
    /// <exception cref="ImageException">The image cannot be read or decoded, or goes beyond the limits.</exception>
    internal ValueTask<RgbImage> DecodeAsync(ImageLimits limits, CancellationToken cancellationToken) => _decode(this, limits, cancellationToken);

    /// <summary>An image that is none: it fails with this error where it would be decoded, as a damaged file does.</summary>
    internal static MedicalImage Failing(MedVlmException error) => new((_, _, _) => ValueTask.FromException<RgbImage>(error));

    /// <summary>The same image, which keeps the key of its content when it is decoded.</summary>
    internal MedicalImage Keyed() => new(_decode, keyed: true);

    /// <summary>
    /// SHA-256 of what was decoded, as lower-case hex: of the encoded bytes, or of raw pixels with their size and format in front. Null until
    /// then, and for an image that is not <see cref="Keyed"/>.
    /// </summary>
    internal string? ContentKey { get; private set; }

    void KeepKey(ReadOnlySpan<byte> head, ReadOnlySpan<byte> content)
    {
        if (!_keyed)
            return;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(head);
        hash.AppendData(content);
        ContentKey = Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
