using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Kernels;

/// <summary>
/// The inner products of integer attention: rows of 16-bit integers by a panel, 16 columns at a time, with sums in 32 bits. VPMADDWD adds the
/// products of two neighbouring numbers at once, so a panel holds pairs: for each pair of rows of the matrix, 16 columns of two numbers.
/// </summary>
internal static unsafe class IntegerProduct
{
    // Panels of a whole head do not fit into the first cache: measured, 3 %.
    const int PairsAhead = 16;

    /// <summary>Columns of a panel.</summary>
    public const int Columns = 16;

    /// <summary>Whether rows are multiplied twelve at a time.</summary>
    public static bool TakesAvx512 => Avx512BW.IsSupported;

    /// <summary>c[r, 0..16) = Σ a[r, 2p] · b[p, 0..16, 0] + a[r, 2p + 1] · b[p, 0..16, 1].</summary>
    /// <param name="rows">Rows: twelve at a time are the fastest.</param>
    /// <param name="a">The rows, 16-bit.</param>
    /// <param name="aStride">Numbers from a row to the next.</param>
    /// <param name="b">The panel.</param>
    /// <param name="bStride">Bytes from a pair to the next.</param>
    /// <param name="pairs">Pairs.</param>
    /// <param name="c">The sums.</param>
    /// <param name="cStride">Numbers from a row of sums to the next.</param>
    public static void Multiply<T>(int rows, short* a, nint aStride, byte* b, nint bStride, int pairs, int* c, nint cStride) where T : struct, IPanelNumber
    {
        if (TakesAvx512)
            for (; rows >= 12; rows -= 12, a += 12 * aStride, c += 12 * cStride)
                Twelve<T>(a, aStride, b, bStride, pairs, c, cStride);
        for (; rows >= 6; rows -= 6, a += 6 * aStride, c += 6 * cStride)
            Six<T>(a, aStride, b, bStride, pairs, c, cStride);
        for (; rows >= 3; rows -= 3, a += 3 * aStride, c += 3 * cStride)
            Three<T>(a, aStride, b, bStride, pairs, c, cStride);
        for (; rows > 0; rows--, a += aStride, c += cStride)
            One<T>(a, b, bStride, pairs, c);
    }

    /// <summary>
    /// AVX-512: a register holds all columns. The products of four rows come before their sums, since sums that wait for a product keep others from
    /// the same port (20 % on Zen 4).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Twelve<T>(short* a, nint aStride, byte* b, nint bStride, int pairs, int* c, nint cStride) where T : struct, IPanelNumber
    {
        Vector512<int> c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default;
        Vector512<int> c6 = default, c7 = default, c8 = default, c9 = default, c10 = default, c11 = default;
        short* a3 = a + 3 * aStride, a6 = a + 6 * aStride, a9 = a + 9 * aStride;
        for (; pairs > 0; pairs--, b += bStride, a += 2, a3 += 2, a6 += 2, a9 += 2)
        {
            Sse.Prefetch0(b + PairsAhead * bStride);
            var x = T.LoadAll(b);
            var p0 = Products(a, x);
            var p1 = Products(a + aStride, x);
            var p2 = Products(a + 2 * aStride, x);
            var p3 = Products(a3, x);
            c0 += p0;
            c1 += p1;
            c2 += p2;
            c3 += p3;
            p0 = Products(a3 + aStride, x);
            p1 = Products(a3 + 2 * aStride, x);
            p2 = Products(a6, x);
            p3 = Products(a6 + aStride, x);
            c4 += p0;
            c5 += p1;
            c6 += p2;
            c7 += p3;
            p0 = Products(a6 + 2 * aStride, x);
            p1 = Products(a9, x);
            p2 = Products(a9 + aStride, x);
            p3 = Products(a9 + 2 * aStride, x);
            c8 += p0;
            c9 += p1;
            c10 += p2;
            c11 += p3;
        }
        c0.Store(c);
        c1.Store(c + cStride);
        c2.Store(c + 2 * cStride);
        c += 3 * cStride;
        c3.Store(c);
        c4.Store(c + cStride);
        c5.Store(c + 2 * cStride);
        c += 3 * cStride;
        c6.Store(c);
        c7.Store(c + cStride);
        c8.Store(c + 2 * cStride);
        c += 3 * cStride;
        c9.Store(c);
        c10.Store(c + cStride);
        c11.Store(c + 2 * cStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<int> Products(short* a, Vector512<short> b) =>
        Avx512BW.MultiplyAddAdjacent(Vector512.Create(*(int*)a).AsInt16(), b);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Six<T>(short* a, nint aStride, byte* b, nint bStride, int pairs, int* c, nint cStride) where T : struct, IPanelNumber
    {
        Vector256<int> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default;
        Vector256<int> c30 = default, c31 = default, c40 = default, c41 = default, c50 = default, c51 = default;
        short* a3 = a + 3 * aStride;
        for (; pairs > 0; pairs--, b += bStride, a += 2, a3 += 2)
        {
            var (b0, b1) = (T.Load(b), T.Load(b + Columns * T.Size));
            var x = Pair(a);
            (c00, c01) = (Add(c00, x, b0), Add(c01, x, b1));
            x = Pair(a + aStride);
            (c10, c11) = (Add(c10, x, b0), Add(c11, x, b1));
            x = Pair(a + 2 * aStride);
            (c20, c21) = (Add(c20, x, b0), Add(c21, x, b1));
            x = Pair(a3);
            (c30, c31) = (Add(c30, x, b0), Add(c31, x, b1));
            x = Pair(a3 + aStride);
            (c40, c41) = (Add(c40, x, b0), Add(c41, x, b1));
            x = Pair(a3 + 2 * aStride);
            (c50, c51) = (Add(c50, x, b0), Add(c51, x, b1));
        }
        Store(c, c00, c01);
        Store(c + cStride, c10, c11);
        Store(c + 2 * cStride, c20, c21);
        Store(c + 3 * cStride, c30, c31);
        Store(c + 4 * cStride, c40, c41);
        Store(c + 5 * cStride, c50, c51);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Three<T>(short* a, nint aStride, byte* b, nint bStride, int pairs, int* c, nint cStride) where T : struct, IPanelNumber
    {
        Vector256<int> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default;
        for (; pairs > 0; pairs--, b += bStride, a += 2)
        {
            var (b0, b1) = (T.Load(b), T.Load(b + Columns * T.Size));
            var x = Pair(a);
            (c00, c01) = (Add(c00, x, b0), Add(c01, x, b1));
            x = Pair(a + aStride);
            (c10, c11) = (Add(c10, x, b0), Add(c11, x, b1));
            x = Pair(a + 2 * aStride);
            (c20, c21) = (Add(c20, x, b0), Add(c21, x, b1));
        }
        Store(c, c00, c01);
        Store(c + cStride, c10, c11);
        Store(c + 2 * cStride, c20, c21);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void One<T>(short* a, byte* b, nint bStride, int pairs, int* c) where T : struct, IPanelNumber
    {
        Vector256<int> c0 = default, c1 = default;
        for (; pairs > 0; pairs--, b += bStride, a += 2)
        {
            var x = Pair(a);
            (c0, c1) = (Add(c0, x, T.Load(b)), Add(c1, x, T.Load(b + Columns * T.Size)));
        }
        Store(c, c0, c1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<short> Pair(short* a) => Avx2.BroadcastScalarToVector256((int*)a).AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<int> Add(Vector256<int> sum, Vector256<short> a, Vector256<short> b) => Avx2.Add(sum, Avx2.MultiplyAddAdjacent(a, b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Store(int* c, Vector256<int> first, Vector256<int> second)
    {
        first.Store(c);
        second.Store(c + Vector256<int>.Count);
    }
}
