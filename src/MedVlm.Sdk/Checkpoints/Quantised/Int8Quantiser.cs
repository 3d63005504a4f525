using System.Numerics.Tensors;
using System.Runtime.Intrinsics;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>Symmetric INT8: a row of weights as whole numbers from -127 to 127 and the scale that the largest of them sets.</summary>
internal static class Int8Quantiser
{
    public const int Largest = 127;

    /// <summary>Quantises the weights of one output channel, each to the nearest number.</summary>
    /// <param name="weights">The weights.</param>
    /// <param name="values">Receives as many whole numbers.</param>
    /// <param name="halfScale">Whether the scale is to be a number of FP16, which the whole numbers are then chosen for.</param>
    /// <returns>The scale; 0 where all weights are 0 (or so small that no scale can tell them apart from it); NaN where one is not finite.</returns>
    public static float Quantise(ReadOnlySpan<float> weights, Span<sbyte> values, bool halfScale = false)
    {
        float largest = weights.IsEmpty ? 0 : MathF.Abs(TensorPrimitives.MaxMagnitude(weights));
        if (!float.IsFinite(largest))
            return float.NaN;

        float scale = halfScale ? Float16Numbers.AtLeast(largest / Largest) : largest / Largest;
        if (scale == 0)
        {
            values.Clear();
            return 0;
        }

        // A quotient, not a product with 1 / scale: that is infinite for the smallest scales.
        int i = 0;
        var divisor = Vector256.Create(scale);
        for (; i <= weights.Length - 32; i += 32)
            Vector256.Narrow(
                Vector256.Narrow(Nearest(weights[i..], divisor), Nearest(weights[(i + 8)..], divisor)),
                Vector256.Narrow(Nearest(weights[(i + 16)..], divisor), Nearest(weights[(i + 24)..], divisor))).CopyTo(values[i..]);
        for (; i < weights.Length; i++)
            values[i] = (sbyte)Math.Clamp(MathF.Round(weights[i] / scale), -Largest, Largest);
        return scale;
    }

    static Vector256<int> Nearest(ReadOnlySpan<float> weights, Vector256<float> divisor) => Vector256.ConvertToInt32(
        Vector256.Min(Vector256.Max(Vector256.Round(Vector256.Create(weights) / divisor), Vector256.Create(-(float)Largest)), Vector256.Create((float)Largest)));
}
