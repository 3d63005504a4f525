using CsCheck;
using MedVlm.Imaging;

namespace MedVlm.Tests.Imaging;

public sealed class ResamplerTests
{
    [Fact]
    public void Vectors_give_the_same_bytes_as_the_plain_sum()
    {
        var sizes = Gen.Select(Gen.Int[1, 200], Gen.Int[0, 40], Gen.Int[0, 20]);
        Gen.Select(sizes, Gen.ULong).Sample((size, seed) =>
        {
            var (length, count, gap) = size;
            var random = new Random((int)seed);
            var rows = new byte[count * (length + gap) + length];
            random.NextBytes(rows);
            var weights = new int[count];
            for (int i = 0; i < count; i++)
                weights[i] = random.Next(-1 << 20, 1 << 20);
            byte[] vector = new byte[length], plain = new byte[length];

            WeightedRows.Sum(rows, length + gap, weights, vector);
            WeightedRows.SumScalar(rows, length + gap, weights, plain);

            Assert.Equal(plain, vector);
        });
    }

    [Fact]
    public void Turning_a_band_on_its_side_and_back_changes_nothing() =>
        Gen.Select(Gen.Int[1, Transpose.Band], Gen.Int[1, 130], Gen.ULong).Sample((height, rowBytes, seed) =>
        {
            var rows = new byte[height * rowBytes];
            new Random((int)seed).NextBytes(rows);
            var columns = new byte[rowBytes * Transpose.Band];
            var back = new byte[rows.Length];

            Transpose.RowsToColumns(rows, rowBytes, columns);
            Transpose.ColumnsToRows(columns, rowBytes, back);

            for (int y = 0; y < height; y++)
                for (int x = 0; x < rowBytes; x++)
                    Assert.Equal(rows[y * rowBytes + x], columns[x * Transpose.Band + y]);
            Assert.Equal(rows, back);
        });

    [Fact]
    public void Any_size_is_resized_as_by_two_plain_passes()
    {
        var sides = Gen.Select(Gen.Int[1, 70], Gen.Int[1, 70], Gen.Int[1, 70], Gen.Int[1, 70]);
        Gen.Select(sides, Gen.Int[1, 4], Gen.Enum<Resample>(), Gen.Bool, Gen.ULong).Sample((size, channels, filter, verticalFirst, seed) =>
        {
            var (width, height, newWidth, newHeight) = size;
            var source = new byte[width * height * channels];
            new Random((int)seed).NextBytes(source);
            var resized = new byte[newWidth * newHeight * channels];

            Resampler.Resize(source, width, height, channels, resized, newWidth, newHeight, filter, verticalFirst);

            Assert.Equal(PlainResize(source, width, height, channels, newWidth, newHeight, filter, verticalFirst), resized);
        }, iter: 200);
    }

    /// <summary>The algorithm as notes.md tells it: one output sample after the other.</summary>
    static byte[] PlainResize(
        byte[] source, int width, int height, int channels, int newWidth, int newHeight, Resample filter, bool verticalFirst)
    {
        if (verticalFirst)
        {
            var lower = PlainPass(source, width * channels, 1, height, newHeight, filter);
            return PlainPass(lower, channels, newHeight, width, newWidth, filter);
        }

        var narrower = PlainPass(source, channels, height, width, newWidth, filter);
        return PlainPass(narrower, newWidth * channels, 1, height, newHeight, filter);
    }

    /// <summary>Resizes the middle axis of [outer, inputs, inner].</summary>
    static byte[] PlainPass(byte[] source, int inner, int outer, int inputs, int outputs, Resample filter)
    {
        if (inputs == outputs)
            return source;
        var weights = new AxisWeights(inputs, outputs, filter);
        var result = new byte[outer * outputs * inner];
        for (int o = 0; o < outer; o++)
            for (int to = 0; to < outputs; to++)
                for (int i = 0; i < inner; i++)
                {
                    long sum = 1 << 21;
                    for (int k = 0; k < weights.Weights(to).Length; k++)
                        sum += (long)source[(o * inputs + weights.First(to) + k) * inner + i] * weights.Weights(to)[k];
                    result[(o * outputs + to) * inner + i] = (byte)Math.Clamp(sum >> 22, 0, 255);
                }

        return result;
    }
}
