namespace MedVlm.Checkpoints;

/// <summary>The values of all 256 codes of the 8-bit floats.</summary>
internal static class Float8
{
    /// <summary>4 exponent and 3 mantissa bits, the "fn" variant: no infinities, NaN only where all bits but the sign are set.</summary>
    public static readonly float[] E4M3 = Table(mantissaBits: 3, bias: 7, special: (code, _) => code == 0x7F ? float.NaN : null);

    /// <summary>5 exponent and 2 mantissa bits, with infinities and NaNs as in IEEE 754.</summary>
    public static readonly float[] E5M2 = Table(mantissaBits: 2, bias: 15,
        special: (code, mantissa) => code < 0x7C ? null : mantissa == 0 ? float.PositiveInfinity : float.NaN);

    static float[] Table(int mantissaBits, int bias, Func<int, int, float?> special)
    {
        var table = new float[256];
        for (int code = 0; code < 128; code++)
        {
            int exponent = code >> mantissaBits, mantissa = code & ((1 << mantissaBits) - 1);
            float magnitude = special(code, mantissa) ?? (exponent == 0
                ? MathF.ScaleB(mantissa, 1 - bias - mantissaBits)                                   // subnormal: no hidden one
                : MathF.ScaleB(mantissa + (1 << mantissaBits), exponent - bias - mantissaBits));
            (table[code], table[code + 128]) = (magnitude, -magnitude);
        }
        return table;
    }
}
