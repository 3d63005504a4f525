using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MedVlm.Imaging;

/// <summary>The one arithmetic operation of a resize: rows of bytes, weighted, summed, rounded and clipped to bytes.</summary>
internal static class WeightedRows
{
    const int Half = 1 << (AxisWeights.FractionBits - 1);

    /// <summary>destination[x] = clip((2^21 + sum over i of rows[i][x] * weights[i]) >> 22).</summary>
    /// <remarks>32 bits hold the sum for the three kernels, and integers give the same bits on every processor.</remarks>
    /// <param name="rows">One row per weight, <paramref name="stride"/> bytes apart.</param>
    /// <param name="stride">Bytes from a row to the next.</param>
    /// <param name="weights">The quantised weight of each row.</param>
    /// <param name="destination">Receives one row, of at most <paramref name="stride"/> bytes.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]   // the first image is as fast as the hundredth
    public static void Sum(ReadOnlySpan<byte> rows, int stride, ReadOnlySpan<int> weights, Span<byte> destination)
    {
        int length = destination.Length, block = Vector256<byte>.Count;
        if (length < block || !Vector256.IsHardwareAccelerated)
        {
            SumScalar(rows, stride, weights, destination);
            return;
        }

        // The vector loop reads without bounds checks: this is the check.
        _ = rows[..checked(Math.Max(weights.Length - 1, 0) * stride + (weights.Length == 0 ? 0 : length))];
        ref byte first = ref MemoryMarshal.GetReference(rows), target = ref MemoryMarshal.GetReference(destination);
        for (int x = 0; x < length; x += block)
        {
            int at = Math.Min(x, length - block);   // the last block overlaps the one before it
            SumBlock(ref Unsafe.Add(ref first, at), stride, weights).StoreUnsafe(ref target, (nuint)at);
        }
    }

    /// <summary>The same sum without vectors: for short rows and for processors without 256-bit vectors.</summary>
    public static void SumScalar(ReadOnlySpan<byte> rows, int stride, ReadOnlySpan<int> weights, Span<byte> destination)
    {
        for (int x = 0; x < destination.Length; x++)
        {
            int sum = Half;
            for (int i = 0; i < weights.Length; i++)
                sum += rows[i * stride + x] * weights[i];
            destination[x] = (byte)Math.Clamp(sum >> AxisWeights.FractionBits, 0, 255);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<byte> SumBlock(ref byte first, int stride, ReadOnlySpan<int> weights)
    {
        Vector256<int> a = Vector256.Create(Half), b = a, c = a, d = a;
        nuint offset = 0;
        foreach (int weight in weights)
        {
            var q = Vector256.Create(weight);
            var (low, high) = Vector256.Widen(Vector256.LoadUnsafe(ref first, offset));
            var (p0, p1) = Vector256.Widen(low);
            var (p2, p3) = Vector256.Widen(high);
            a += p0.AsInt32() * q;
            b += p1.AsInt32() * q;
            c += p2.AsInt32() * q;
            d += p3.AsInt32() * q;
            offset += (nuint)stride;
        }

        return Vector256.Narrow(Vector256.Narrow(Clip(a), Clip(b)), Vector256.Narrow(Clip(c), Clip(d)));
    }

    static Vector256<uint> Clip(Vector256<int> sum) =>
        Vector256.Clamp(sum >> AxisWeights.FractionBits, Vector256<int>.Zero, Vector256.Create(255)).AsUInt32();
}
