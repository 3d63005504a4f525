namespace MedVlm.Imaging;

/// <summary>From 8-bit pixels to what a vision tower is fed.</summary>
internal static class PixelValues
{
    /// <summary>Rescales and normalises: channel c of a pixel becomes (pixel * rescaleFactor - mean[c]) / std[c].</summary>
    /// <remarks>
    /// In the arithmetic of <c>transformers.image_transforms</c>: <c>rescale</c> multiplies in double and rounds to float32,
    /// <c>normalize</c> then works in float32. A byte has 256 values, so each channel is a table.
    /// </remarks>
    /// <param name="image">The pixels, already resized.</param>
    /// <param name="rescaleFactor">As in preprocessor_config.json, usually 1/255.</param>
    /// <param name="mean">Mean of R, G, B.</param>
    /// <param name="std">Standard deviation of R, G, B.</param>
    /// <param name="destination">Receives [3, height, width].</param>
    public static void ChannelsFirst(
        RgbImage image, double rescaleFactor, ReadOnlySpan<float> mean, ReadOnlySpan<float> std, Span<float> destination)
    {
        int plane = image.Width * image.Height;
        if (destination.Length != plane * RgbImage.Channels)
            throw new ArgumentException(
                $"The destination holds {destination.Length} values; [3, {image.Height}, {image.Width}] asks for {plane * RgbImage.Channels}.");
        ChannelsFirst(image.Pixels, tiles: 1, rescaleFactor, mean, std, destination);
    }

    /// <summary>The same for tiles of one size, one after another.</summary>
    /// <param name="pixels">Bytes [tiles, height, width, 3].</param>
    /// <param name="tiles">How many.</param>
    /// <param name="rescaleFactor">As in preprocessor_config.json, usually 1/255.</param>
    /// <param name="mean">Mean of R, G, B.</param>
    /// <param name="std">Standard deviation of R, G, B.</param>
    /// <param name="destination">Receives [tiles, 3, height, width].</param>
    public static void ChannelsFirst(
        ReadOnlySpan<byte> pixels, int tiles, double rescaleFactor, ReadOnlySpan<float> mean, ReadOnlySpan<float> std, Span<float> destination)
    {
        if (mean.Length != RgbImage.Channels || std.Length != RgbImage.Channels)
            throw new ArgumentException($"mean has {mean.Length} and std {std.Length} values; an RGB image asks for 3 of each.");
        if (destination.Length != pixels.Length || pixels.Length % (tiles * RgbImage.Channels) != 0)
            throw new ArgumentException($"{pixels.Length} bytes are not the pixels of {tiles} tiles, or not those of {destination.Length} values.");

        Span<float> tables = stackalloc float[RgbImage.Channels * 256];
        Tables(rescaleFactor, mean, std, tables);

        Span<float> red = tables[..256], green = tables[256..512], blue = tables[512..];
        int plane = pixels.Length / (tiles * RgbImage.Channels);
        for (; !destination.IsEmpty; destination = destination[(3 * plane)..])
        {
            Span<float> reds = destination[..plane], greens = destination.Slice(plane, plane), blues = destination.Slice(2 * plane, plane);
            for (int i = 0; i < plane && pixels.Length >= RgbImage.Channels; i++, pixels = pixels[RgbImage.Channels..])
            {
                reds[i] = red[pixels[0]];
                greens[i] = green[pixels[1]];
                blues[i] = blue[pixels[2]];
            }
        }
    }

    /// <summary>What each value of each channel becomes.</summary>
    /// <param name="rescaleFactor">As in preprocessor_config.json, usually 1/255.</param>
    /// <param name="mean">Mean of R, G, B.</param>
    /// <param name="std">Standard deviation of R, G, B.</param>
    /// <param name="tables">Receives [3, 256].</param>
    public static void Tables(double rescaleFactor, ReadOnlySpan<float> mean, ReadOnlySpan<float> std, Span<float> tables)
    {
        for (int i = 0; i < tables.Length; i++)
            tables[i] = ((float)((i & 255) * rescaleFactor) - mean[i >> 8]) / std[i >> 8];
    }
}
