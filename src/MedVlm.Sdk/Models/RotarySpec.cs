namespace MedVlm.Models;

/// <summary>Cos and sin of the rotary embedding's angles, computed on the host for any position (arXiv:2104.09864).</summary>
/// <remarks>In FP32 like the reference, whose rounding the models were trained with.</remarks>
/// <param name="frequencies">For each angle what it grows by from one position to the next.</param>
internal sealed class RotarySpec(float[] frequencies)
{
    /// <summary>Angles of one token: half the dimensions that are turned.</summary>
    public int Angles => frequencies.Length;

    /// <summary>For each angle the axis of the position that it turns with; null where there is one axis (M-RoPE, arXiv:2409.12191).</summary>
    public int[]? AxisOfAngle { get; init; }

    /// <summary>Frequencies of sequences longer than <see cref="SwitchLength"/>; null where there is only one set (LongRoPE, arXiv:2402.13753).</summary>
    public float[]? LongFrequencies { get; init; }

    /// <summary>Longest sequence, prompt and caption together, that takes the ordinary frequencies.</summary>
    public int SwitchLength { get; init; } = int.MaxValue;

    /// <summary>Factor on cos and sin.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>The plain scheme: angle k of position p is <c>p · theta^(-2k/d)</c>.</summary>
    /// <param name="dimensions">d: dimensions of a head that are turned, all or the first of them.</param>
    /// <param name="theta">Base.</param>
    public static RotarySpec Standard(int dimensions, double theta) => new(Frequencies(dimensions, theta));

    /// <summary>Frequencies <c>1 / (factor_k · theta^(2k/d))</c>.</summary>
    public static float[] Frequencies(int dimensions, double theta, IReadOnlyList<float>? factors = null)
    {
        var result = new float[dimensions / 2];
        for (int k = 0; k < result.Length; k++)
            result[k] = 1f / ((factors?[k] ?? 1f) * (float)Math.Pow(theta, 2.0 * k / dimensions));

        return result;
    }

    /// <summary>Angles of one generated token.</summary>
    /// <param name="position">The token's position, on every axis.</param>
    /// <param name="length">Tokens of the whole sequence, this one included.</param>
    /// <param name="cos">Receives <see cref="Angles"/> values.</param>
    /// <param name="sin">Receives <see cref="Angles"/> values.</param>
    public void Fill(int position, int length, Span<float> cos, Span<float> sin)
    {
        var growth = FrequenciesFor(length);
        for (int k = 0; k < Angles; k++)
            Turn(position * growth[k], out cos[k], out sin[k]);
    }

    /// <summary>Angles of a run of a prompt's tokens, [T, angles] each.</summary>
    /// <param name="positions">Positions of the whole prompt.</param>
    /// <param name="first">The run's first token.</param>
    /// <param name="cos">Receives the run's values, and so tells its length.</param>
    /// <param name="sin">Receives the run's values.</param>
    public void Fill(PromptPositions positions, int first, Span<float> cos, Span<float> sin)
    {
        var growth = FrequenciesFor(positions.Axes[0].Length);
        for (int i = 0; i < cos.Length; i++)
        {
            int k = i % Angles;
            Turn(positions.Axes[AxisOfAngle?[k] ?? 0][first + i / Angles] * growth[k], out cos[i], out sin[i]);
        }
    }

    float[] FrequenciesFor(int length) => length > SwitchLength && LongFrequencies is { } longer ? longer : frequencies;

    void Turn(float angle, out float cos, out float sin)
    {
        (sin, cos) = MathF.SinCos(angle);
        (sin, cos) = (sin * Scale, cos * Scale);
    }
}
