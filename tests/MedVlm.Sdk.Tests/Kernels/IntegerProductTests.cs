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
        Gen.Select(Gen.Int[1, 30], Gen.Int[1, 5], Gen.Int[1, 40], Gen.Int[0, 1 << 20]).Sample(
            (rows, panels, pairs, seed) =>
            {
                int columns = 16 * panels;
                var random = new Random(seed);
                var a = Enumerable.Range(0, rows * 2 * pairs).Select(_ => (short)random.Next(-8000, 8001)).ToArray();
                var b = Enumerable.Range(0, panels * pairs * 32).Select(_ => (short)random.Next(-range, range + 1)).ToArray();
                var (c, bytes) = (new int[rows * columns], new byte[b.Length * T.Size]);
                fixed (short* rowNumbers = a)
                fixed (byte* panel = bytes)
                fixed (int* sums = c)
                {
                    for (int i = 0; i < b.Length; i++)
                        T.Store(panel + i * T.Size, b[i]);
                    IntegerProduct.Multiply<T>(rows, columns, rowNumbers, 2 * pairs, panel, pairs * 32 * T.Size, 32 * T.Size, pairs, sums, columns);
                }
                for (int row = 0; row < rows; row++)
                    for (int column = 0; column < columns; column++)
                    {
                        int first = column / 16 * pairs * 32 + column % 16 * 2;
                        Assert.Equal(
                            Enumerable.Range(0, pairs).Sum(p => a[row * 2 * pairs + 2 * p] * b[first + p * 32] + a[row * 2 * pairs + 2 * p + 1] * b[first + p * 32 + 1]),
                            c[row * columns + column]);
                    }
            },
            iter: 200);
    }
}
