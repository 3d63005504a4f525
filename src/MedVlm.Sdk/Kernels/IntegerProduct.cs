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

    /// <summary>Whether rows are multiplied eight at a time by two panels.</summary>
    public static bool TakesAvx512 => Avx512BW.IsSupported;

    /// <summary>c[r, 16n + i] = Σ a[r, 2p] · b[n, p, i, 0] + a[r, 2p + 1] · b[n, p, i, 1].</summary>
    /// <param name="rows">Rows: a multiple of eight is the fastest.</param>
    /// <param name="columns">Columns, a multiple of 16.</param>
    /// <param name="a">The rows, 16-bit.</param>
    /// <param name="aStride">Numbers from a row to the next.</param>
    /// <param name="b">The first panel.</param>
    /// <param name="bNext">Bytes from a panel to the next.</param>
    /// <param name="bStride">Bytes from a pair to the next in the same panel.</param>
    /// <param name="pairs">Pairs.</param>
    /// <param name="c">The sums.</param>
    /// <param name="cStride">Numbers from a row of sums to the next.</param>
    public static void Multiply<T>(int rows, int columns, short* a, nint aStride, byte* b, nint bNext, nint bStride, int pairs, int* c, nint cStride)
        where T : struct, IPanelNumber
    {
        int column = 0;
        if (TakesAvx512)
            for (; column + 2 * Columns <= columns; column += 2 * Columns, b += 2 * bNext, c += 2 * Columns)
            {
                int row = 0;
                for (; row + 8 <= rows; row += 8)
                    Eight<T>(a + row * aStride, aStride, b, bNext, bStride, pairs, c + row * cStride, cStride);
                MultiplyPanel<T>(rows - row, a + row * aStride, aStride, b, bStride, pairs, c + row * cStride, cStride);
                MultiplyPanel<T>(rows - row, a + row * aStride, aStride, b + bNext, bStride, pairs, c + row * cStride + Columns, cStride);
            }
        for (; column < columns; column += Columns, b += bNext, c += Columns)
            MultiplyPanel<T>(rows, a, aStride, b, bStride, pairs, c, cStride);
    }

    static void MultiplyPanel<T>(int rows, short* a, nint aStride, byte* b, nint bStride, int pairs, int* c, nint cStride) where T : struct, IPanelNumber
    {
        for (; rows >= 6; rows -= 6, a += 6 * aStride, c += 6 * cStride)
            Six<T>(a, aStride, b, bStride, pairs, c, cStride);
        for (; rows >= 3; rows -= 3, a += 3 * aStride, c += 3 * cStride)
            Three<T>(a, aStride, b, bStride, pairs, c, cStride);
        for (; rows > 0; rows--, a += aStride, c += cStride)
            One<T>(a, b, bStride, pairs, c);
    }

    /// <summary>
    /// AVX-512: a register holds all columns of a panel, and two panels share what is loaded of a row. The products of two rows come before their
    /// sums, since sums that wait for a product keep others from the same port (20 % on Zen 4). Never part of its caller: that would cost registers.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void Eight<T>(short* a, nint aStride, byte* b, nint bNext, nint bStride, int pairs, int* c, nint cStride) where T : struct, IPanelNumber
    {
        Vector512<int> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        Vector512<int> c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        short* a3 = a + 3 * aStride, a6 = a + 6 * aStride;
        for (; pairs > 0; pairs--, b += bStride, a += 2, a3 += 2, a6 += 2)
        {
            Sse.Prefetch0(b + PairsAhead * bStride);
            Sse.Prefetch0(b + bNext + PairsAhead * bStride);
            var (b0, b1) = (T.LoadAll(b), T.LoadAll(b + bNext));
            var (x, y) = (WidePair(a), WidePair(a + aStride));
            var (p, q, r, s) = (Products(x, b0), Products(x, b1), Products(y, b0), Products(y, b1));
            (c00, c01, c10, c11) = (c00 + p, c01 + q, c10 + r, c11 + s);
            (x, y) = (WidePair(a + 2 * aStride), WidePair(a3));
            (p, q, r, s) = (Products(x, b0), Products(x, b1), Products(y, b0), Products(y, b1));
            (c20, c21, c30, c31) = (c20 + p, c21 + q, c30 + r, c31 + s);
            (x, y) = (WidePair(a3 + aStride), WidePair(a3 + 2 * aStride));
            (p, q, r, s) = (Products(x, b0), Products(x, b1), Products(y, b0), Products(y, b1));
            (c40, c41, c50, c51) = (c40 + p, c41 + q, c50 + r, c51 + s);
            (x, y) = (WidePair(a6), WidePair(a6 + aStride));
            (p, q, r, s) = (Products(x, b0), Products(x, b1), Products(y, b0), Products(y, b1));
            (c60, c61, c70, c71) = (c60 + p, c61 + q, c70 + r, c71 + s);
        }
        Store(c, c00, c01);
        Store(c + cStride, c10, c11);
        Store(c + 2 * cStride, c20, c21);
        Store(c + 3 * cStride, c30, c31);
        c += 4 * cStride;
        Store(c, c40, c41);
        Store(c + cStride, c50, c51);
        Store(c + 2 * cStride, c60, c61);
        Store(c + 3 * cStride, c70, c71);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<short> WidePair(short* a) => Vector512.Create(*(int*)a).AsInt16();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<int> Products(Vector512<short> a, Vector512<short> b) => Avx512BW.MultiplyAddAdjacent(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Store(int* c, Vector512<int> first, Vector512<int> second)
    {
        first.Store(c);
        second.Store(c + Columns);
    }

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
