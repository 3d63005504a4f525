using MedVlm.Evaluation.Scoring;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation;

/// <summary>ROUGE-1 (F1) as the scorer of ImageCLEFmedical's caption task computes it, from 0 to 1: of texts after <see cref="ClefNormalization"/>.</summary>
/// <remarks>The task has one reference an image: of several the first counts. Two empty texts score 1. Safe to use from many threads.</remarks>
public sealed class ClefRouge1 : ICaptionMetric
{
    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; } = ["ROUGE-1 (ImageCLEF)"];

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default) =>
        PairWork.RunAsync(() =>
        {
            var tokens = TokenizedPairs.Of(pairs, TextTokens.ClefRouge, cancellationToken);
            var scores = Rouge.Score(tokens with { References = Array.ConvertAll(tokens.References, references => references[..1]) }, stemmer: false, cancellationToken);
            return [new MetricScores(Names[0], [.. scores[0].Select((score, i) => BothEmpty(pairs[i]) ? 1 : score.F1)])];
        }, cancellationToken);

    static bool BothEmpty(CaptionPair pair) => pair.Candidate.Length == 0 && pair.References[0].Length == 0;
}
