namespace MedVlm.Imaging;

/// <summary>Padding to a square and resizing it, without the memory of the square: that of a strip of 1 x 20,000 pixels is 1.2 GB.</summary>
internal static class SquarePadding
{
    /// <summary>Longest side that is padded: the work grows with its square.</summary>
    public const int LongestSide = 20_000;

    const int BandRows = 64;

    /// <summary>The square of an image, and where the image lies in it.</summary>
    public static (int Side, int Left, int Top) Place(int width, int height)
    {
        int side = Math.Max(width, height);
        return (side, (side - width) / 2, (side - height) / 2);
    }

    /// <summary>
    /// Lays the image in the middle of a square of its longer side (by half a pixel nearer to the top or left) and resizes that as Pillow
    /// does: bit for bit the same, since Pillow resizes a square's rows first, each by itself.
    /// </summary>
    /// <exception cref="ImageException">A side is longer than <see cref="LongestSide"/>.</exception>
    public static RgbImage Resize(RgbImage image, int side, (byte R, byte G, byte B) colour, Resample filter)
    {
        var (square, left, top) = Place(image.Width, image.Height);
        if (image.Width == image.Height)
            return image.Resize(side, side, filter);
        if (square > LongestSide)
            throw new ImageException(
                $"The image is {image.Width} x {image.Height} pixels; the model pads images to a square, and this library takes at most "
                + $"{LongestSide} pixels a side for that. Crop the image.");

        var empty = new RgbImage(1, 1, [colour.R, colour.G, colour.B]).Pad(square, 1, 0, 0, colour).Resize(side, 1, filter);
        var rows = new RgbImage(side, square, new byte[checked(side * square * RgbImage.Channels)]);
        for (int y = 0; y < square; y++)
            if (y < top || y >= top + image.Height)
                empty.Row(0).CopyTo(rows.Row(y));
        for (int y = 0; y < image.Height; y += BandRows)
        {
            var band = image.Crop(0, y, image.Width, Math.Min(BandRows, image.Height - y));
            band.Pad(square, band.Height, left, 0, colour).Resize(side, band.Height, filter).Pixels.CopyTo(rows.Pixels, (top + y) * side * RgbImage.Channels);
        }
        return rows.Resize(side, side, filter);
    }
}
