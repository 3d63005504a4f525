using System.Buffers;

namespace MedVlm.Imaging;

/// <summary>Pillow's <c>Image.resize</c> for 8 bits per channel, equal to the bit.</summary>
/// <remarks>
/// The models were trained on Pillow's pixels, so "nearly the same" resize is another input. Each axis has its own pass in 22-bit
/// fixed point, and the picture is rounded to 8 bits in between (Pillow 13.0.0, src/libImaging/Resample.c).
/// <para>
/// Both passes are one operation, a weighted sum of rows (<see cref="WeightedRows"/>): the horizontal pass turns bands of 32 rows
/// on their side, so that its neighbours lie in rows too, and back. Thread-safe; scratch memory comes from the shared array pool.
/// </para>
/// </remarks>
internal static class Resampler
{
    /// <summary>Resizes an image of interleaved channels.</summary>
    /// <param name="source">Samples [<paramref name="height"/>, <paramref name="width"/>, <paramref name="channels"/>].</param>
    /// <param name="width">Width of the source in pixels.</param>
    /// <param name="height">Height of the source in pixels.</param>
    /// <param name="channels">Samples per pixel, each resized on its own.</param>
    /// <param name="destination">Receives [<paramref name="newHeight"/>, <paramref name="newWidth"/>, <paramref name="channels"/>].</param>
    /// <param name="newWidth">Width to resize to.</param>
    /// <param name="newHeight">Height to resize to.</param>
    /// <param name="filter">The kernel.</param>
    /// <param name="verticalFirst">The order of the passes, where both are needed: <see cref="PassOrder"/>.</param>
    public static void Resize(
        ReadOnlySpan<byte> source, int width, int height, int channels,
        Span<byte> destination, int newWidth, int newHeight, Resample filter, bool verticalFirst)
    {
        // A side that stays as it is has no pass at all (identity weights would be the same, only slower).
        if (width == newWidth && height == newHeight)
            source.CopyTo(destination);
        else if (width == newWidth)
            Vertical(source, width * channels, destination, new AxisWeights(height, newHeight, filter));
        else if (height == newHeight)
            Horizontal(source, width, channels, destination, new AxisWeights(width, newWidth, filter));
        else if (verticalFirst)
        {
            using var between = new Scratch(checked(newHeight * width * channels));
            Vertical(source, width * channels, between.Span, new AxisWeights(height, newHeight, filter));
            Horizontal(between.Span, width, channels, destination, new AxisWeights(width, newWidth, filter));
        }
        else
        {
            using var between = new Scratch(checked(height * newWidth * channels));
            Horizontal(source, width, channels, between.Span, new AxisWeights(width, newWidth, filter));
            Vertical(between.Span, newWidth * channels, destination, new AxisWeights(height, newHeight, filter));
        }
    }

    static void Vertical(ReadOnlySpan<byte> source, int rowBytes, Span<byte> destination, AxisWeights weights)
    {
        for (int y = 0; y < weights.Outputs; y++)
            WeightedRows.Sum(source[(weights.First(y) * rowBytes)..], rowBytes, weights.Weights(y), destination.Slice(y * rowBytes, rowBytes));
    }

    static void Horizontal(ReadOnlySpan<byte> source, int width, int channels, Span<byte> destination, AxisWeights weights)
    {
        int rowBytes = width * channels, newRowBytes = weights.Outputs * channels;
        int height = source.Length / rowBytes;
        int columnBytes = channels * Transpose.Band;   // one pixel column of a band, on its side

        using var band = new Scratch(checked(width * columnBytes));
        using var resized = new Scratch(checked(weights.Outputs * columnBytes));
        for (int y = 0; y < height; y += Transpose.Band)
        {
            int rows = Math.Min(Transpose.Band, height - y);
            Transpose.RowsToColumns(source.Slice(y * rowBytes, rows * rowBytes), rowBytes, band.Span);
            Vertical(band.Span, columnBytes, resized.Span, weights);
            Transpose.ColumnsToRows(resized.Span, newRowBytes, destination.Slice(y * newRowBytes, rows * newRowBytes));
        }
    }

    /// <summary>A piece of pooled memory of exactly the length asked for.</summary>
    readonly ref struct Scratch(int length)
    {
        readonly byte[] _rented = ArrayPool<byte>.Shared.Rent(length);

        public Span<byte> Span => _rented.AsSpan(0, length);

        public void Dispose() => ArrayPool<byte>.Shared.Return(_rented);
    }
}
