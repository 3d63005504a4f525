using MedVlm.Evaluation.Scoring;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation;

/// <summary>BLEU-1 to BLEU-4 as COCO's caption evaluation computes them, from 0 to 1.</summary>
/// <remarks>Equal to pycocoevalcap 1.2 with its tokenizer. There is no smoothing: a caption of three words has a BLEU-4 near 0 even if it is
/// perfect, so that the value over a set, from summed counts, is the one to report. Safe to use from many threads.</remarks>
public sealed class CocoBleu : ICaptionMetric
{
    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; } = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"];

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default) =>
        PairWork.RunAsync(() =>
        {
            var counts = BleuScores.Count(TokenizedPairs.Of(pairs, TextTokens.Coco, cancellationToken).SplitHardSpaces(), cancellationToken);
            return [.. Names.Select((name, i) => new BleuScores(name, counts, sum => Bleu(sum, i + 1), sum => Bleu(sum, i + 1)))];
        }, cancellationToken);

    static double Bleu(BleuCounts counts, int order)
    {
        const double Tiny = 1e-15, Small = 1e-9;   // the reference's: they keep 0 out of divisions
        double product = 1;
        for (int n = 1; n <= order; n++)
            product *= (counts.Correct(n) + Tiny) / (counts.Total(n) + Small);
        double ratio = (counts.Length + Tiny) / (counts.ReferenceLength + Small);
        return Math.Pow(product, 1.0 / order) * (ratio < 1 ? Math.Exp(1 - 1 / ratio) : 1);
    }
}
