using MedVlm.Evaluation.Scoring;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation;

/// <summary>METEOR as nltk computes it, from 0 to 1: words match if they are equal, then by stem, then, with a WordNet, as synonyms.</summary>
/// <remarks>Equal to nltk 3.10.4's meteor_score (Banerjee and Lavie, "METEOR: an automatic metric for MT evaluation with improved correlation with human
/// judgments", ACL 2005; α = 0.9, β = 3, γ = 0.5) on the words of COCO's tokenizer. COCO's own METEOR, a Java program with tables of paraphrases,
/// gives other values. A perfect caption of one word scores 0.5. Of several references the best counts. Safe to use from many threads.</remarks>
/// <param name="wordNet">Where synonyms come from. Default: none, words match exactly and by stem.</param>
public sealed class Meteor(WordNet? wordNet = null) : ICaptionMetric
{
    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; } = [wordNet is null ? "METEOR" : "METEOR (WordNet)"];

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default) =>
        PairWork.RunAsync(() =>
        {
            var tokens = TokenizedPairs.Of(pairs, TextTokens.Coco, cancellationToken).SplitHardSpaces();
            var stems = Stems.Of(tokens.Words, minLength: 0);
            var synonyms = wordNet is null ? null : new SynonymIds(stems.Texts, wordNet);
            var scores = new double[tokens.Count];
            PairWork.ForEach(tokens.Count, () => new WordAlignment(stems.IdOfWord, synonyms), (i, alignment) =>
            {
                foreach (var reference in tokens.References[i])
                    scores[i] = Math.Max(scores[i], Score(tokens.Candidates[i], reference, alignment, cancellationToken));
            }, cancellationToken);
            return [new MetricScores(Names[0], scores)];
        }, cancellationToken);

    static double Score(int[] candidate, int[] reference, WordAlignment alignment, CancellationToken cancellationToken)
    {
        var (matches, chunks) = alignment.Align(candidate, reference, cancellationToken);
        if (matches == 0)
            return 0;
        double precision = (double)matches / candidate.Length, recall = (double)matches / reference.Length;
        double mean = precision * recall / (0.9 * precision + 0.1 * recall);
        double fragmentation = (double)chunks / matches;
        return (1 - 0.5 * fragmentation * fragmentation * fragmentation) * mean;
    }
}
