using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Kernels;

/// <summary>2^x.</summary>
internal static class Exp2
{
    // Interpolates 2^f on [-1/2, 1/2] in the four Chebyshev nodes: relative error 1e-4, a tenth of what integer keys and values leave.
    const float C0 = 0.999924557f, C1 = 0.693136734f, C2 = 0.242639478f, C3 = 0.0558382829f;

    // Adding it rounds to an integer, which then lies in the low bits.
    const float Round = 1.5f * (1 << 23);

    /// <summary>2^x for x &lt;= 0, to a relative error of 1e-4; 2^-126 below -126; NaN for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> OfNegative(Vector256<float> x)
    {
        // In this order Max hands NaN on.
        x = Avx.Max(Vector256.Create(-126f), x);
        var rounded = Avx.Add(x, Vector256.Create(Round));
        var f = Avx.Subtract(x, Avx.Subtract(rounded, Vector256.Create(Round)));
        var y = Fma.MultiplyAdd(Vector256.Create(C3), f, Vector256.Create(C2));
        y = Fma.MultiplyAdd(y, f, Vector256.Create(C1));
        y = Fma.MultiplyAdd(y, f, Vector256.Create(C0));
        return Avx2.Add(y.AsInt32(), Avx2.ShiftLeftLogical(rounded.AsInt32(), 23)).AsSingle();
    }

    // The same polynomial of f - 1/2, times the root of two, for f in [0, 1].
    const float Root2 = 1.41421356f;
    const float D0 = Root2 * (C0 - C1 / 2 + C2 / 4 - C3 / 8), D1 = Root2 * (C1 - C2 + C3 * 0.75f), D2 = Root2 * (C2 - C3 * 1.5f), D3 = Root2 * C3;

    /// <summary>2^x for any x to a relative error of 1e-4; NaN for NaN. Needs AVX-512.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Of(Vector512<float> x)
    {
        var f = Avx512DQ.Reduce(x, 1);      // x - floor(x)
        var y = Avx512F.FusedMultiplyAdd(Vector512.Create(D3), f, Vector512.Create(D2));
        y = Avx512F.FusedMultiplyAdd(y, f, Vector512.Create(D1));
        y = Avx512F.FusedMultiplyAdd(y, f, Vector512.Create(D0));
        return Avx512F.Scale(y, x);         // y · 2^floor(x)
    }
}
