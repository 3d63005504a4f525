using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Kernels;

/// <summary>A row of floats as integers with one scale.</summary>
internal static unsafe class RowNumbers
{
    // A row of smaller numbers is one of zeros: what they would be multiplied by is beyond the largest float.
    const float Smallest = short.MaxValue / float.MaxValue * 2;

    /// <summary>Rounds a row to integers of which the largest has magnitude <paramref name="range"/>.</summary>
    /// <param name="row">The row.</param>
    /// <param name="count">Its length.</param>
    /// <param name="range">Largest magnitude.</param>
    /// <param name="numbers">The integers, filled up with zeros.</param>
    /// <param name="width">How many: a multiple of 16.</param>
    /// <returns>What the integers are to be multiplied by; NaN if a number of the row is not finite.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Quantise(float* row, int count, int range, short* numbers, int width)
    {
        float largest = Largest(row, count);
        if (!float.IsFinite(largest) || largest < Smallest)
        {
            new Span<short>(numbers, width).Clear();
            return largest < Smallest ? 0 : float.NaN;
        }

        var factor = Vector256.Create(range / largest);
        int i = 0;
        for (; i + 16 <= count; i += 16)
        {
            Avx2.Permute4x64(Avx2.PackSignedSaturate(Integers(row + i, factor), Integers(row + i + 8, factor)).AsInt64(), 0b11_01_10_00).AsInt16().Store(numbers + i);
        }
        for (; i < count; i++)
            numbers[i] = (short)MathF.Round(row[i] * factor.ToScalar());
        new Span<short>(numbers + count, width - count).Clear();
        return largest / range;
    }

    /// <summary>Rounds a row to uint8 around a middle of <paramref name="range"/> + 1.</summary>
    /// <param name="row">The row.</param>
    /// <param name="count">Its length.</param>
    /// <param name="range">Largest distance from the middle, 127 at most.</param>
    /// <param name="numbers">Receives the integers.</param>
    /// <returns>What the integers, less the middle, are to be multiplied by; NaN if a number of the row is not finite.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Quantise(float* row, int count, int range, byte* numbers)
    {
        float largest = Largest(row, count);
        if (!float.IsFinite(largest) || largest < Smallest)
        {
            new Span<byte>(numbers, count).Fill((byte)(range + 1));
            return largest < Smallest ? 0 : float.NaN;
        }

        var factor = Vector256.Create(range / largest);
        var middle = Vector256.Create((short)(range + 1));
        int i = 0;
        for (; i + 32 <= count; i += 32)
        {
            var (a, b, c, d) = (Integers(row + i, factor), Integers(row + i + 8, factor), Integers(row + i + 16, factor), Integers(row + i + 24, factor));
            var low = Avx2.Add(Avx2.PackSignedSaturate(a, b), middle);
            var high = Avx2.Add(Avx2.PackSignedSaturate(c, d), middle);

            // Packing works on halves: every fourth of eight groups of four belongs behind the other.
            var packed = Avx2.PackUnsignedSaturate(low, high).AsInt32();
            Avx2.PermuteVar8x32(packed, Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7)).AsByte().Store(numbers + i);
        }
        for (; i < count; i++)
            numbers[i] = (byte)((int)MathF.Round(row[i] * factor.ToScalar()) + range + 1);
        return largest / range;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<int> Integers(float* row, Vector256<float> factor) => Avx.ConvertToVector256Int32(Avx.Multiply(Avx.LoadVector256(row), factor));

    /// <summary>Largest magnitude; not finite if one of the numbers is not.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Largest(float* row, int count)
    {
        // As integers, magnitudes keep their order, and NaN is above all.
        var bits = Vector256<int>.Zero;
        int i = 0;
        for (; i + 8 <= count; i += 8)
            bits = Avx2.Max(bits, Avx2.And(Avx.LoadVector256((int*)(row + i)), Vector256.Create(int.MaxValue)));
        var half = Sse41.Max(bits.GetLower(), bits.GetUpper());
        half = Sse41.Max(half, Sse2.Shuffle(half, 0b01_00_11_10));
        int largest = Sse41.Max(half, Sse2.Shuffle(half, 0b10_11_00_01)).ToScalar();
        for (; i < count; i++)
            largest = Math.Max(largest, BitConverter.SingleToInt32Bits(row[i]) & int.MaxValue);
        return BitConverter.Int32BitsToSingle(largest);
    }
}
