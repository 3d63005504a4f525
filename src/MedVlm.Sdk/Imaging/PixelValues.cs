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
        if (mean.Length != RgbImage.Channels || std.Length != RgbImage.Channels)
            throw new ArgumentException($"mean has {mean.Length} and std {std.Length} values; an RGB image asks for 3 of each.");
        if (destination.Length != plane * RgbImage.Channels)
            throw new ArgumentException(
                $"The destination holds {destination.Length} values; [3, {image.Height}, {image.Width}] asks for {plane * RgbImage.Channels}.");

        Span<float> tables = stackalloc float[RgbImage.Channels * 256];
        Tables(rescaleFactor, mean, std, tables);

        Span<float> red = tables[..256], green = tables[256..512], blue = tables[512..];
        Span<float> reds = destination[..plane], greens = destination.Slice(plane, plane), blues = destination[(2 * plane)..];
        if (image.IsBlack)
        {
            reds.Fill(red[0]);
            greens.Fill(green[0]);
            blues.Fill(blue[0]);
            return;
        }
        ReadOnlySpan<byte> pixels = image.Pixels;
        for (int i = 0; i < plane && pixels.Length >= RgbImage.Channels; i++, pixels = pixels[RgbImage.Channels..])
        {
            reds[i] = red[pixels[0]];
            greens[i] = green[pixels[1]];
            blues[i] = blue[pixels[2]];
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
