using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>
/// INT4 by blocks of 32: each weight becomes a number from 0 to 15, and <c>(number - zero point) · scale</c> gives it back. Scale and zero
/// point are those that leave the least squared error, found by search; rounding over the block's range is the first of the candidates.
/// The error of a weight counts as much as the input that it is multiplied by is large, where that is known.
/// </summary>
internal static class Int4Quantiser
{
    public const int BlockSize = 32, BlockBytes = BlockSize / 2, Largest = 15;

    // Narrower ranges clip the outermost weights to tell the many inner ones apart better. Measured on SmolVLM's shapes with normal
    // weights, finer steps or more zero points lower the error by less than 0.5 %.
    static readonly float[] s_ranges = [1.04f, 1f, 0.96f, 0.92f, 0.88f, 0.84f, 0.8f, 0.76f, 0.7f, 0.64f];
    const int ZeroPointsAround = 2, Refinements = 2;

    /// <summary>Blocks of a row of weights; the last may be filled in part.</summary>
    public static long Blocks(long inputs) => (inputs + BlockSize - 1) / BlockSize;

    /// <summary>Quantises one row of weights.</summary>
    /// <param name="weights">The weights of one output.</param>
    /// <param name="errorWeights">Mean square of each input; empty where it is not known, and all count alike.</param>
    /// <param name="values">Receives <see cref="BlockBytes"/> for each block.</param>
    /// <param name="scales">Receives one for each block.</param>
    /// <param name="zeroPoints">Receives half a byte for each block.</param>
    /// <param name="halfScales">Whether the scales are to be numbers of FP16, which the numbers are then chosen for.</param>
    /// <returns>False where a weight is not finite.</returns>
    public static bool Quantise(
        ReadOnlySpan<float> weights, ReadOnlySpan<float> errorWeights, Span<byte> values, Span<float> scales, Span<byte> zeroPoints, bool halfScales = false)
    {
        zeroPoints.Clear();
        Span<float> padded = stackalloc float[BlockSize], paddedErrors = stackalloc float[BlockSize];
        paddedErrors.Fill(1);
        for (int block = 0; block < scales.Length; block++)
        {
            // Zeros behind the last weight cost no error: the zero point stands for them exactly.
            var rest = weights[(block * BlockSize)..];
            padded.Clear();
            rest[..Math.Min(rest.Length, BlockSize)].CopyTo(padded);
            if (!errorWeights.IsEmpty)
                Share(errorWeights[(block * BlockSize)..], paddedErrors);
            scales[block] = QuantiseBlock(padded, paddedErrors, values.Slice(block * BlockBytes, BlockBytes), halfScales, out int zeroPoint);
            if (float.IsNaN(scales[block]))
                return false;
            zeroPoints[block / 2] |= (byte)(zeroPoint << (block % 2 * 4));
        }
        return true;
    }

    /// <summary>A row of weights as the numbers give it back.</summary>
    public static void Dequantise(ReadOnlySpan<byte> values, ReadOnlySpan<float> scales, ReadOnlySpan<byte> zeroPoints, Span<float> weights)
    {
        for (int i = 0; i < weights.Length; i++)
        {
            int block = i / BlockSize;
            weights[i] = (Half(values[i / 2], i) - Half(zeroPoints[block / 2], block)) * scales[block];
        }

        static int Half(byte pair, int index) => index % 2 == 0 ? pair & 15 : pair >> 4;
    }

    /// <summary>Of the block's largest; all alike where that says nothing.</summary>
    static void Share(ReadOnlySpan<float> errorWeights, Span<float> shares)
    {
        errorWeights = errorWeights[..Math.Min(errorWeights.Length, BlockSize)];
        float largest = TensorPrimitives.Max(errorWeights);
        shares.Fill(1);
        if (largest > 0 && float.IsFinite(largest))
            TensorPrimitives.Divide(errorWeights, largest, shares);
    }

    /// <returns>The scale; NaN where a weight is not finite.</returns>
    static float QuantiseBlock(ReadOnlySpan<float> weights, ReadOnlySpan<float> errorWeights, Span<byte> values, bool halfScale, out int zeroPoint)
    {
        zeroPoint = (Largest + 1) / 2;
        float largest = MathF.Abs(TensorPrimitives.MaxMagnitude(weights));
        if (!float.IsFinite(largest))
            return float.NaN;

        // In [-1, 1], so that no square overflows or vanishes.
        var block = new Block(weights, errorWeights, largest);
        float low = MathF.Min(block.Min, 0), high = MathF.Max(block.Max, 0), step = (high - low) / Largest;
        if (largest / Largest == 0)
        {
            values.Fill((byte)(zeroPoint * 0x11));
            return 0;
        }

        int middle = (int)MathF.Round(-low / step);
        var best = block.Fit(step, middle);
        for (int candidate = Math.Max(middle - ZeroPointsAround, 0); candidate <= Math.Min(middle + ZeroPointsAround, Largest); candidate++)
            foreach (float range in s_ranges)
                best = Better(best, block.Fit(step * range, candidate));

        // The best scale for the numbers that a scale leads to can lead to better numbers.
        for (int i = 0; i < Refinements; i++)
            best = Better(best, block.Fit(best.Scale, best.ZeroPoint));

        float scale = best.Scale * largest;
        if (halfScale)
        {
            scale = Float16Numbers.AtLeast(scale);
            best = best with { Rounding = scale / largest };
        }
        block.Write(best, values);
        zeroPoint = best.ZeroPoint;
        return scale;

        static Fit Better(Fit a, Fit b) => b.Gain > a.Gain ? b : a;
    }

    /// <summary>Numbers of a block: those nearest to weight / <paramref name="Rounding"/>.</summary>
    /// <param name="Rounding">The scale that they were rounded by.</param>
    /// <param name="ZeroPoint">The number that means zero.</param>
    /// <param name="Scale">The scale that fits them best (weighted least squares).</param>
    /// <param name="Gain">By how much the weighted squared error with it is below that of all zeros.</param>
    readonly record struct Fit(float Rounding, int ZeroPoint, float Scale, float Gain);

    /// <summary>32 weights in registers.</summary>
    readonly struct Block
    {
        readonly Vector256<float> _a, _b, _c, _d;

        // What each error counts.
        readonly Vector256<float> _e, _f, _g, _h;

        public Block(ReadOnlySpan<float> weights, ReadOnlySpan<float> errorWeights, float largest)
        {
            var divisor = Vector256.Create(largest == 0 ? 1 : largest);
            (_a, _b, _c, _d) = (
                Vector256.Create(weights) / divisor, Vector256.Create(weights[8..]) / divisor, Vector256.Create(weights[16..]) / divisor,
                Vector256.Create(weights[24..]) / divisor);
            (_e, _f, _g, _h) = (
                Vector256.Create(errorWeights), Vector256.Create(errorWeights[8..]), Vector256.Create(errorWeights[16..]), Vector256.Create(errorWeights[24..]));
        }

        public float Min => Least(Vector256.Min(Vector256.Min(_a, _b), Vector256.Min(_c, _d)));

        public float Max => -Least(-Vector256.Max(Vector256.Max(_a, _b), Vector256.Max(_c, _d)));

        /// <summary>Rounds by a scale, and finds the scale that fits the numbers best: with w ≈ s·n it is Σewn / Σen² for errors that count e, and the squared error Σew² - (Σewn)² / Σen².</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Fit Fit(float rounding, int zeroPoint)
        {
            var (low, high, inverse) = (Vector256.Create(-(float)zeroPoint), Vector256.Create((float)(Largest - zeroPoint)), Vector256.Create(1 / rounding));
            var (a, b, c, d) = (Numbers(_a, inverse, low, high), Numbers(_b, inverse, low, high), Numbers(_c, inverse, low, high), Numbers(_d, inverse, low, high));
            var (ea, eb, ec, ed) = (_e * a, _f * b, _g * c, _h * d);
            float products = Vector256.Sum(_a * ea + _b * eb + (_c * ec + _d * ed)), squares = Vector256.Sum(a * ea + b * eb + (c * ec + d * ed));
            return squares == 0 ? new(rounding, zeroPoint, rounding, 0) : new(rounding, zeroPoint, products / squares, products * products / squares);
        }

        public void Write(Fit fit, Span<byte> values)
        {
            var (low, high, inverse) = (Vector256.Create(-(float)fit.ZeroPoint), Vector256.Create((float)(Largest - fit.ZeroPoint)), Vector256.Create(1 / fit.Rounding));
            Span<float> numbers = stackalloc float[BlockSize];
            Numbers(_a, inverse, low, high).CopyTo(numbers);
            Numbers(_b, inverse, low, high).CopyTo(numbers[8..]);
            Numbers(_c, inverse, low, high).CopyTo(numbers[16..]);
            Numbers(_d, inverse, low, high).CopyTo(numbers[24..]);
            for (int i = 0; i < BlockBytes; i++)
                values[i] = (byte)((int)numbers[2 * i] + fit.ZeroPoint | (int)numbers[2 * i + 1] + fit.ZeroPoint << 4);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<float> Numbers(Vector256<float> weights, Vector256<float> inverse, Vector256<float> low, Vector256<float> high) =>
            Vector256.Min(Vector256.Max(Vector256.Round(weights * inverse), low), high);

        static float Least(Vector256<float> values)
        {
            float least = values[0];
            for (int i = 1; i < Vector256<float>.Count; i++)
                least = MathF.Min(least, values[i]);
            return least;
        }
    }
}
