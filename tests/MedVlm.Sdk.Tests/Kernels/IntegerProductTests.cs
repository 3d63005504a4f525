using CsCheck;
using MedVlm.Kernels;

namespace MedVlm.Tests.Kernels;

public sealed unsafe class IntegerProductTests
{
    [Fact]
    public void Sums_are_exact_for_any_number_of_rows() => Check<Panel16>(1023);

    [Fact]
    public void Sums_of_eight_bits_are_exact_for_any_number_of_rows() => Check<Panel8>(127);

    static void Check<T>(int range) where T : struct, IPanelNumber
    {
        Processor.Needed();
        Gen.Select(Gen.Int[1, 30], Gen.Int[1, 40], Gen.Int[0, 1 << 20]).Sample(
            (rows, pairs, seed) =>
            {
                var random = new Random(seed);
                var a = Enumerable.Range(0, rows * 2 * pairs).Select(_ => (short)random.Next(-8000, 8001)).ToArray();
                var b = Enumerable.Range(0, pairs * 32).Select(_ => (short)random.Next(-range, range + 1)).ToArray();
                var (c, bytes) = (new int[rows * 16], new byte[b.Length * T.Size]);
                fixed (short* rowNumbers = a)
                fixed (byte* panel = bytes)
                fixed (int* sums = c)
                {
                    for (int i = 0; i < b.Length; i++)
                        T.Store(panel + i * T.Size, b[i]);
                    IntegerProduct.Multiply<T>(rows, rowNumbers, 2 * pairs, panel, 32 * T.Size, pairs, sums, 16);
                }
                for (int row = 0; row < rows; row++)
                    for (int column = 0; column < 16; column++)
                        Assert.Equal(
                            Enumerable.Range(0, pairs).Sum(p =>
                                a[row * 2 * pairs + 2 * p] * b[p * 32 + 2 * column] + a[row * 2 * pairs + 2 * p + 1] * b[p * 32 + 2 * column + 1]),
                            c[row * 16 + column]);
            },
            iter: 200);
    }
}
