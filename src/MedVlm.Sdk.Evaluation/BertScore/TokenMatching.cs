using System.Numerics.Tensors;
using MedVlm.Evaluation.BertScore.Encoders;

namespace MedVlm.Evaluation.BertScore;

/// <summary>The hidden states of a text, each of length 1 (Euclidean), with what each counts.</summary>
/// <param name="States">[T, D].</param>
/// <param name="Weights">[T].</param>
internal sealed record TextStates(float[] States, float[] Weights)
{
    /// <summary>Brings each state to length 1, in place.</summary>
    public static void Normalise(Span<float> states, int width)
    {
        for (; !states.IsEmpty; states = states[width..])
        {
            var row = states[..width];
            float norm = TensorPrimitives.Norm<float>(row);
            if (norm > 0)
                TensorPrimitives.Divide(row, norm, row);
        }
    }
}

/// <summary>Greedy matching (BERTScore, arXiv:1904.09675): each token with the most similar one of the other text.</summary>
/// <remarks>
/// Reference: greedy_cos_idf of bert-score, for one pair. There padding counts as a similarity of 0, so that in a batch a maximum is never below
/// 0; here nothing is padded.
/// </remarks>
internal static class TokenMatching
{
    /// <summary>Scores one candidate against one reference. 0 where one of them is empty, or where its weights add up to nothing.</summary>
    /// <param name="reference">The reference.</param>
    /// <param name="candidate">The candidate.</param>
    public static BertScoreValues Score(TextStates reference, TextStates candidate)
    {
        int rows = candidate.Weights.Length, columns = reference.Weights.Length;
        if (rows == EncoderTokenizer.ControlTokens || columns == EncoderTokenizer.ControlTokens)
            return default;

        int width = reference.States.Length / columns;
        var (best, bestOfReference) = (new float[rows], new float[columns]);
        bestOfReference.AsSpan().Fill(float.NegativeInfinity);
        for (int i = 0; i < rows; i++)
        {
            var row = candidate.States.AsSpan(i * width, width);
            float largest = float.NegativeInfinity;
            for (int j = 0; j < columns; j++)
            {
                float similarity = TensorPrimitives.Dot(row, reference.States.AsSpan(j * width, width));
                largest = Math.Max(largest, similarity);
                bestOfReference[j] = Math.Max(bestOfReference[j], similarity);
            }
            best[i] = largest;
        }

        double precision = Mean(best, candidate.Weights), recall = Mean(bestOfReference, reference.Weights);
        return new BertScoreValues(precision, recall, precision + recall == 0 ? 0 : 2 * precision * recall / (precision + recall));
    }

    static double Mean(float[] values, float[] weights)
    {
        double sum = 0, total = 0;
        for (int i = 0; i < values.Length; i++)
        {
            sum += (double)values[i] * weights[i];
            total += weights[i];
        }
        return total == 0 ? 0 : sum / total;
    }
}
