using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using CsCheck;
using MedVlm.Kernels;

namespace MedVlm.Tests.Kernels;

public sealed unsafe class RowNumbersTests
{
    static readonly float[] s_sizes = [1, 1, 1e-20f, 1e-38f, 1e-44f];

    static readonly Gen<float[]> s_rows = Gen.Select(
        Gen.Float[-1e6f, 1e6f].Array[1, 130], Gen.Int[0, s_sizes.Length - 1], (row, size) => Array.ConvertAll(row, number => number * s_sizes[size]));

    // Smaller numbers count as zeros.
    const float Smallest = 2e-34f;

    [Fact]
    public void A_row_comes_back_to_half_a_step()
    {
        Processor.Needed();
        s_rows.Sample(row =>
        {
            var numbers = new byte[row.Length];
            float scale;
            fixed (float* values = row)
            fixed (byte* integers = numbers)
                scale = RowNumbers.Quantise(values, row.Length, 127, integers);

            Assert.True(scale == row.Max(MathF.Abs) / 127 || scale == 0 && row.Max(MathF.Abs) < Smallest);
            for (int i = 0; i < row.Length; i++)
                Assert.Equal(row[i], (numbers[i] - 128) * (double)scale, scale * (0.5 + 1e-4) + (scale == 0 ? Smallest : 0));
        });
    }

    [Fact]
    public void A_row_of_wider_integers_comes_back_to_half_a_step_and_is_filled_up_with_zeros()
    {
        Processor.Needed();
        s_rows.Sample(row =>
        {
            int width = (row.Length + 15) / 16 * 16;
            var numbers = new short[width];
            float scale;
            fixed (float* values = row)
            fixed (short* integers = numbers)
                scale = RowNumbers.Quantise(values, row.Length, 2047, integers, width);

            for (int i = 0; i < row.Length; i++)
                Assert.Equal(row[i], numbers[i] * (double)scale, scale * (0.5 + 1e-3) + (scale == 0 ? Smallest : float.Epsilon * 4096.0));
            Assert.All(numbers[row.Length..], number => Assert.Equal(0, number));
        });
    }

    [Theory]
    [InlineData(float.NaN), InlineData(float.PositiveInfinity), InlineData(float.NegativeInfinity)]
    public void What_is_not_finite_makes_the_scale_NaN(float number)
    {
        Processor.Needed();
        for (int place = 0; place < 37; place++)
        {
            var (row, numbers) = (new float[37], new byte[37]);
            row[place] = number;
            fixed (float* values = row)
            fixed (byte* integers = numbers)
                Assert.True(float.IsNaN(RowNumbers.Quantise(values, 37, 127, integers)));
        }
    }

    [Fact]
    public void Powers_of_two_are_right_to_a_ten_thousandth()
    {
        Processor.Needed();
        for (float x = 0; x > -126; x -= 0.0371f)
            Assert.Equal(1, Exp2.OfNegative(Vector256.Create(x)).ToScalar() / Math.Pow(2, x), 1.1e-4);
        Assert.InRange(Exp2.OfNegative(Vector256.Create(-1e30f)).ToScalar(), 0, 2e-38f);
        Assert.True(float.IsNaN(Exp2.OfNegative(Vector256.Create(float.NaN)).ToScalar()));
    }

    [Fact]
    public void Powers_of_two_of_sixteen_numbers_are_right_to_a_ten_thousandth()
    {
        Assert.SkipUnless(Avx512DQ.IsSupported, "This processor has no AVX-512.");
        for (float x = 3; x > -126; x -= 0.0371f)
            Assert.Equal(1, Exp2.Of(Vector512.Create(x)).ToScalar() / Math.Pow(2, x), 1.1e-4);
        foreach (float x in (float[])[-150, -1e30f, float.NegativeInfinity])
            Assert.InRange(Exp2.Of(Vector512.Create(x)).ToScalar(), 0, 2e-38f);
        Assert.True(float.IsNaN(Exp2.Of(Vector512.Create(float.NaN)).ToScalar()));
    }
}
