using MedVlm.Evaluation.Scoring;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation;

/// <summary>ROUGE-L as COCO's caption evaluation computes it, from 0 to 1: an F-measure that favours recall (β = 1.2).</summary>
/// <remarks>Equal to pycocoevalcap 1.2 with its tokenizer: precision and recall are each the best over the references. Safe to use from many threads.</remarks>
public sealed class CocoRougeL : ICaptionMetric
{
    const double BetaSquared = 1.2 * 1.2;
    static readonly int[] s_empty = [-1];   // no words count as one empty word: the reference splits an empty text at spaces

    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; } = ["ROUGE-L (COCO)"];

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default) =>
        PairWork.RunAsync(() =>
        {
            var tokens = TokenizedPairs.Of(pairs, TextTokens.Coco, cancellationToken);
            var scores = new double[tokens.Count];
            PairWork.ForEach(tokens.Count, () => new CommonSubsequence(),
                (i, memory) => scores[i] = Score(tokens.Candidates[i], tokens.References[i], memory, cancellationToken), cancellationToken);
            return [new MetricScores(Names[0], scores)];
        }, cancellationToken);

    static double Score(int[] words, int[][] references, CommonSubsequence memory, CancellationToken cancellationToken)
    {
        var candidate = words is [] ? s_empty : words;
        double precision = 0, recall = 0;
        foreach (var texts in references)
        {
            var reference = texts is [] ? s_empty : texts;
            double common = memory.Length(candidate, reference, cancellationToken);
            precision = Math.Max(precision, common / candidate.Length);
            recall = Math.Max(recall, common / reference.Length);
        }
        return precision > 0 && recall > 0 ? (1 + BetaSquared) * precision * recall / (recall + BetaSquared * precision) : 0;
    }
}
