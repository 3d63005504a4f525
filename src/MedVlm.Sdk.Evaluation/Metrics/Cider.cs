using MedVlm.Evaluation.Scoring;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation;

/// <summary>CIDEr as COCO's caption evaluation computes it, which is CIDEr-D times 10: from 0 to 10.</summary>
/// <remarks>Equal to pycocoevalcap 1.2 with its tokenizer (Vedantam, Zitnick and Parikh, "CIDEr: consensus-based image description evaluation", CVPR
/// 2015). N-grams weigh the more the fewer images have them in a reference, so that a pair's value depends on the whole set, and a set of one image
/// scores 0. Safe to use from many threads.</remarks>
public sealed class Cider : ICaptionMetric
{
    const int MaxOrder = 4;
    const double Sigma = 6;

    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; } = ["CIDEr"];

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default) =>
        PairWork.RunAsync(() =>
        {
            var tokens = TokenizedPairs.Of(pairs, TextTokens.Coco, cancellationToken).SplitHardSpaces();
            var weights = NgramWeights.Of(tokens, MaxOrder, cancellationToken);
            var scores = new double[tokens.Count];
            PairWork.ForEach(tokens.Count, () => 0, (i, _) => scores[i] = Score(tokens.Candidates[i], tokens.References[i], weights), cancellationToken);
            return [new MetricScores(Names[0], scores)];
        }, cancellationToken);

    static double Score(int[] candidate, int[][] references, NgramWeights weights)
    {
        var own = weights.Of(candidate);
        double sum = 0;
        foreach (var words in references)
        {
            var reference = weights.Of(words);
            // The lengths are numbers of bigrams: an oddity of the reference, kept.
            double longer = Math.Max(0, candidate.Length - 1) - Math.Max(0, words.Length - 1);
            double penalty = Math.Exp(-longer * longer / (2 * Sigma * Sigma));
            for (int n = 0; n < MaxOrder; n++)
                sum += own[n].Similarity(reference[n]) * penalty;
        }
        return sum / MaxOrder / references.Length * 10;
    }
}
