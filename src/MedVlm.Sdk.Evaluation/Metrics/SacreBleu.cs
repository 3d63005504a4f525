using MedVlm.Evaluation.Scoring;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation;

/// <summary>BLEU as sacreBLEU computes it, from 0 to 100: tokenizer 13a, exponential smoothing.</summary>
/// <remarks>Equal to sacrebleu 2.6.0 (Post, "A call for clarity in reporting BLEU scores", WMT 2018): a pair's value is its sentence_bleu, that of a
/// set its corpus_bleu. Safe to use from many threads.</remarks>
/// <param name="lowerCase">Compare texts in lower case. Default: as they are.</param>
public sealed class SacreBleu(bool lowerCase = false) : ICaptionMetric
{
    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; } = [lowerCase ? "sacreBLEU (lower case)" : "sacreBLEU"];

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default) =>
        PairWork.RunAsync(() =>
        {
            var tokens = TokenizedPairs.Of(pairs, lowerCase ? TextTokens.SacreLowerCase : TextTokens.Sacre, cancellationToken);
            var counts = BleuScores.Count(tokens, cancellationToken);
            return [new BleuScores(Names[0], counts, sum => Bleu(sum, effectiveOrder: true), sum => Bleu(sum, effectiveOrder: false))];
        }, cancellationToken);

    /// <param name="counts">Of a pair, or of many.</param>
    /// <param name="effectiveOrder">A text with fewer than four words is measured by the n-grams that it has, instead of scoring 0.</param>
    static double Bleu(BleuCounts counts, bool effectiveOrder)
    {
        if (counts.Correct(1) == 0)
            return 0;   // nothing longer matches either

        double smoothing = 1, sumOfLogarithms = 0;
        int orders = 0;
        for (int n = 1; n <= BleuCounts.MaxOrder && counts.Total(n) > 0; n++, orders++)
        {
            double correct = counts.Correct(n) > 0 ? counts.Correct(n) : 1 / (smoothing *= 2);
            sumOfLogarithms += Math.Log(100 * correct / counts.Total(n));
        }
        if (!effectiveOrder && orders < BleuCounts.MaxOrder)
            return 0;

        double brevity = counts.Length < counts.ReferenceLength ? Math.Exp(1 - (double)counts.ReferenceLength / counts.Length) : 1;
        return brevity * Math.Exp(sumOfLogarithms / orders);
    }
}
