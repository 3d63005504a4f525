namespace MedVlm.Models;

/// <summary>Cos and sin of the rotary embedding's angles, computed on the host for any position (arXiv:2104.09864).</summary>
/// <remarks>In FP32 like the reference, whose rounding the models were trained with.</remarks>
internal sealed class RotarySpec
{
    readonly float[] _inverseFrequencies;

    RotarySpec(float[] inverseFrequencies) => _inverseFrequencies = inverseFrequencies;

    /// <summary>Angles of one token: half the head size.</summary>
    public int Angles => _inverseFrequencies.Length;

    /// <summary>The plain scheme: angle k of position p is <c>p · theta^(-2k/d)</c>.</summary>
    public static RotarySpec Standard(int headSize, double theta)
    {
        var frequencies = new float[headSize / 2];
        for (int k = 0; k < frequencies.Length; k++)
            frequencies[k] = 1f / (float)Math.Pow(theta, 2.0 * k / headSize);

        return new RotarySpec(frequencies);
    }

    /// <summary>Angles of one token.</summary>
    /// <param name="position">The token's position.</param>
    /// <param name="cos">Receives <see cref="Angles"/> values.</param>
    /// <param name="sin">Receives <see cref="Angles"/> values.</param>
    public void Fill(int position, Span<float> cos, Span<float> sin)
    {
        for (int k = 0; k < _inverseFrequencies.Length; k++)
            (sin[k], cos[k]) = MathF.SinCos(position * _inverseFrequencies[k]);
    }

    /// <summary>Angles of a prompt's tokens, [T, d/2] each.</summary>
    public void Fill(PromptPositions positions, Span<float> cos, Span<float> sin)
    {
        var axis = positions.Axes[0];
        for (int t = 0; t < axis.Length; t++)
            Fill(axis[t], cos.Slice(t * Angles, Angles), sin.Slice(t * Angles, Angles));
    }
}
