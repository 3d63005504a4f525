namespace MedVlm.Imaging;

/// <summary>An 8-bit colour image: what every model family's preprocessing starts from.</summary>
/// <remarks>Do not change <see cref="Pixels"/> once the image is shared: nothing copies them for you.</remarks>
internal sealed class RgbImage
{
    /// <summary>Bytes per pixel: red, green, blue.</summary>
    public const int Channels = 3;

    /// <summary>Wraps pixels without copying them.</summary>
    /// <param name="width">Width in pixels.</param>
    /// <param name="height">Height in pixels.</param>
    /// <param name="pixels">Bytes [height, width, 3]: R, G, B, row by row from the top.</param>
    public RgbImage(int width, int height, byte[] pixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        if (pixels.Length != (long)width * height * Channels)
            throw new ArgumentException($"{pixels.Length} bytes are not {width} x {height} pixels of {Channels} bytes.", nameof(pixels));
        (Width, Height, Pixels) = (width, height, pixels);
    }

    /// <summary>An image of which only the size matters. To resize it and to cut from it takes no work.</summary>
    public static RgbImage Black(int width, int height) => new(width, height, new byte[checked(width * height * Channels)], isBlack: true);

    RgbImage(int width, int height, byte[] pixels, bool isBlack) : this(width, height, pixels) => IsBlack = isBlack;

    /// <summary>Whether it was made by <see cref="Black"/>, or from such an image.</summary>
    public bool IsBlack { get; }

    /// <summary>Width in pixels.</summary>
    public int Width { get; }

    /// <summary>Height in pixels.</summary>
    public int Height { get; }

    /// <summary>Bytes [height, width, 3]: R, G, B, row by row from the top.</summary>
    public byte[] Pixels { get; }

    /// <summary>Row <paramref name="y"/>: bytes [width, 3].</summary>
    public Span<byte> Row(int y) => Pixels.AsSpan(y * Width * Channels, Width * Channels);

    /// <summary>Resizes exactly as Pillow 13's <c>image.resize((width, height), filter)</c>; the same image where the size is the same.</summary>
    /// <param name="width">Width to resize to.</param>
    /// <param name="height">Height to resize to.</param>
    /// <param name="filter">The kernel.</param>
    /// <param name="transposed">As Pillow resizes the image with x and y swapped, swapped back: only the order of its two passes differs.</param>
    public RgbImage Resize(int width, int height, Resample filter, bool transposed = false)
    {
        if (width == Width && height == Height)
            return this;
        if (IsBlack)
            return Black(width, height);   // the kernels have no offset: sums of zeros are zero
        var resized = Blank(width, height);
        Resampler.Resize(Pixels, Width, Height, Channels, resized.Pixels, width, height, filter,
            transposed ? !PassOrder.VerticalFirst(Height, Width, height, width) : PassOrder.VerticalFirst(Width, Height, width, height));
        return resized;
    }

    /// <summary>Cuts out the rectangle whose upper left corner is (x, y); it must lie within the image.</summary>
    public RgbImage Crop(int x, int y, int width, int height)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(x);
        ArgumentOutOfRangeException.ThrowIfNegative(y);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)x + width, Width, nameof(width));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)y + height, Height, nameof(height));
        if (IsBlack)
            return Black(width, height);
        var crop = Blank(width, height);
        for (int row = 0; row < height; row++)
            Row(y + row).Slice(x * Channels, width * Channels).CopyTo(crop.Row(row));
        return crop;
    }

    /// <summary>Lays the image with its upper left corner at (x, y) onto a larger one of a single colour.</summary>
    public RgbImage Pad(int width, int height, int x, int y, (byte R, byte G, byte B) colour)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(x);
        ArgumentOutOfRangeException.ThrowIfNegative(y);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)x + Width, width, nameof(x));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)y + Height, height, nameof(y));
        var padded = Blank(width, height);
        var pixels = padded.Pixels;
        for (int i = 0; i < pixels.Length; i += Channels)
            (pixels[i], pixels[i + 1], pixels[i + 2]) = colour;
        for (int row = 0; row < Height; row++)
            Row(row).CopyTo(padded.Row(y + row)[(x * Channels)..]);
        return padded;
    }

    /// <summary>Applies an EXIF orientation, as <c>PIL.ImageOps.exif_transpose</c> does; a value outside 2..8 changes nothing.</summary>
    /// <remarks>2 mirror left-right, 3 rotate 180, 4 mirror top-bottom, 5 transpose, 6 rotate 90 clockwise, 7 anti-transpose, 8 rotate
    /// 90 counter-clockwise.</remarks>
    public RgbImage Orient(int orientation)
    {
        if (orientation is < 2 or > 8)
            return this;
        bool turned = orientation >= 5;
        var oriented = turned ? Blank(Height, Width) : Blank(Width, Height);
        int right = Width - 1, bottom = Height - 1;
        for (int y = 0; y < oriented.Height; y++)
            for (int x = 0; x < oriented.Width; x++)
            {
                var (fromX, fromY) = orientation switch
                {
                    2 => (right - x, y),
                    3 => (right - x, bottom - y),
                    4 => (x, bottom - y),
                    5 => (y, x),
                    6 => (y, bottom - x),
                    7 => (right - y, bottom - x),
                    _ => (right - y, x),
                };
                int from = (fromY * Width + fromX) * Channels, to = (y * oriented.Width + x) * Channels;
                Pixels.AsSpan(from, Channels).CopyTo(oriented.Pixels.AsSpan(to));
            }

        return oriented;
    }

    static RgbImage Blank(int width, int height) => new(width, height, new byte[checked(width * height * Channels)]);
}
