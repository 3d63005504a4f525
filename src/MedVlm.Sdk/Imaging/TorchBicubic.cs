namespace MedVlm.Imaging;

/// <summary>
/// <c>torch.nn.functional.interpolate(mode="bicubic", align_corners=False)</c> of a normalised image: Keys' cubic with a = -0.75 over 4 x 4
/// pixels, borders repeated, no antialiasing however much it shrinks. Not Pillow's bicubic, which is <see cref="Resampler"/>'s.
/// </summary>
/// <remarks>
/// Single precision in the order of aten/src/ATen/native/cpu/UpSampleKernel.cpp as compilers fuse it into multiply-adds (the first product
/// of a sum is the fused one): so the goldens are met to the bit.
/// </remarks>
internal static class TorchBicubic
{
    const float A = -0.75f;
    const int Taps = 4;

    /// <summary>Resizes to a square.</summary>
    /// <param name="image">The pixels.</param>
    /// <param name="tables">What each value of each channel is as a normalised float, [3, 256].</param>
    /// <param name="side">Side of the square.</param>
    /// <param name="destination">Receives [3, side, side].</param>
    public static void Square(RgbImage image, ReadOnlySpan<float> tables, int side, Span<float> destination)
    {
        var (columns, horizontal) = Axis(image.Width, side);
        var (rows, vertical) = Axis(image.Height, side);
        Span<float> across = stackalloc float[Taps], down = stackalloc float[Taps];
        for (int channel = 0; channel < RgbImage.Channels; channel++)
        {
            var table = tables.Slice(channel * 256, 256);
            var plane = destination.Slice(channel * side * side, side * side);
            for (int y = 0; y < side; y++)
                for (int x = 0; x < side; x++)
                {
                    for (int i = 0; i < Taps; i++)
                    {
                        var row = image.Row(rows[y * Taps + i]);
                        for (int j = 0; j < Taps; j++)
                            across[j] = table[row[columns[x * Taps + j] * RgbImage.Channels + channel]];
                        down[i] = Dot(across, horizontal.AsSpan(x * Taps, Taps));
                    }
                    plane[y * side + x] = Dot(down, vertical.AsSpan(y * Taps, Taps));
                }
        }
    }

    static float Dot(ReadOnlySpan<float> values, ReadOnlySpan<float> weights)
    {
        float sum = MathF.FusedMultiplyAdd(values[0], weights[0], values[1] * weights[1]);
        return MathF.FusedMultiplyAdd(values[3], weights[3], MathF.FusedMultiplyAdd(values[2], weights[2], sum));
    }

    /// <summary>For each output position its four inputs and their weights.</summary>
    static (int[] Indexes, float[] Weights) Axis(int inputs, int outputs)
    {
        var (indexes, weights) = (new int[outputs * Taps], new float[outputs * Taps]);
        float scale = (float)inputs / outputs;
        for (int output = 0; output < outputs; output++)
        {
            float place = MathF.FusedMultiplyAdd(scale, output + 0.5f, -0.5f);
            int first = Math.Min((int)MathF.Floor(place), inputs - 1);
            float t = Math.Clamp(place - first, 0, 1);
            for (int i = 0; i < Taps; i++)
                indexes[output * Taps + i] = Math.Clamp(first - 1 + i, 0, inputs - 1);
            (weights[output * Taps], weights[output * Taps + 1]) = (Outer(t + 1), Inner(t));
            (weights[output * Taps + 2], weights[output * Taps + 3]) = (Inner(1 - t), Outer(2 - t));
        }
        return (indexes, weights);
    }

    static float Inner(float x) => MathF.FusedMultiplyAdd(MathF.FusedMultiplyAdd(A + 2, x, -(A + 3)) * x, x, 1);

    static float Outer(float x) => MathF.FusedMultiplyAdd(MathF.FusedMultiplyAdd(MathF.FusedMultiplyAdd(A, x, -5 * A), x, 8 * A), x, -4 * A);
}
