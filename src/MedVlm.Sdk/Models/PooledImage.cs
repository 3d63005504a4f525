using MedVlm.Imaging;

namespace MedVlm.Models;

/// <summary>An image on the way to a model's inputs, in the pool's memory unless it is the request's own: a large one is not left to the garbage collector.</summary>
internal sealed class PooledImage : IDisposable
{
    readonly PixelPool _pool;
    readonly RgbImage? _image;
    readonly PixelBuffer? _buffer;
    readonly bool _isOwner;

    PooledImage(PixelPool pool, int width, int height, RgbImage? image, PixelBuffer? buffer, bool isOwner) =>
        (_pool, Width, Height, _image, _buffer, _isOwner) = (pool, width, height, image, buffer, isOwner);

    /// <summary>The image itself, without a copy.</summary>
    public PooledImage(PixelPool pool, RgbImage image) : this(pool, image.Width, image.Height, image, null, isOwner: false) { }

    /// <summary>Width in pixels.</summary>
    public int Width { get; }

    /// <summary>Height in pixels.</summary>
    public int Height { get; }

    ReadOnlySpan<byte> Pixels => _image is null ? _buffer!.Pixels : _image.Pixels;

    /// <summary>As <see cref="RgbImage.Resize"/>. Where the size is the same, the same pixels, which must not be disposed before.</summary>
    public PooledImage Resize(int width, int height, Resample filter)
    {
        if (width == Width && height == Height)
            return new PooledImage(_pool, width, height, _image, _buffer, isOwner: false);
        if (_image is { IsBlack: true })
            return new PooledImage(_pool, RgbImage.Black(width, height));

        var resized = _pool.Rent(checked(width * height * RgbImage.Channels));
        Resampler.Resize(
            Pixels, Width, Height, RgbImage.Channels, resized.Pixels, width, height, filter, PassOrder.VerticalFirst(Width, Height, width, height));
        return new PooledImage(_pool, width, height, null, resized, isOwner: true);
    }

    /// <summary>Copies the square whose upper left corner is (x, y), row by row.</summary>
    public void CopySquare(int x, int y, int side, Span<byte> destination)
    {
        for (int row = 0; row < side; row++)
            Pixels.Slice(((y + row) * Width + x) * RgbImage.Channels, side * RgbImage.Channels).CopyTo(destination[(row * side * RgbImage.Channels)..]);
    }

    public void Dispose()
    {
        if (_isOwner)
            _buffer!.Dispose();
    }
}
