namespace MedVlm.Inference;

/// <summary>
/// Where runs of the decoder put what they have found. One for all runs of an engine: logits of a large vocabulary are megabytes for each number of rows.
/// </summary>
/// <param name="rows">Slots that take part in a run at most.</param>
/// <param name="vocabulary">Tokens that there are.</param>
internal sealed class DecoderResults(int rows, int vocabulary)
{
    /// <summary>[rows, vocab].</summary>
    public float[] Logits { get; } = new float[checked(rows * vocabulary)];

    /// <summary>[rows].</summary>
    public long[] Next { get; } = new long[rows];

    /// <summary>[rows].</summary>
    public float[] LogProbability { get; } = new float[rows];
}
