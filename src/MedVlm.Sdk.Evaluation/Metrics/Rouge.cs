using MedVlm.Evaluation.Scoring;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation;

/// <summary>ROUGE-1, ROUGE-2 and ROUGE-L as Google's rouge_score computes them, from 0 to 1.</summary>
/// <remarks>Equal to rouge_score 0.1.2 (Lin, "ROUGE: a package for automatic evaluation of summaries", 2004): words are runs of a-z and 0-9; of several
/// references the one with the best F1 counts, for each of the three by itself. Safe to use from many threads.</remarks>
/// <param name="stemmer">Compare words longer than three letters by their Porter stems. Default: as they are.</param>
/// <param name="precisionAndRecall">Give precision and recall beside each F1. Default: F1 alone.</param>
public sealed class Rouge(bool stemmer = false, bool precisionAndRecall = false) : ICaptionMetric
{
    static readonly string[] s_kinds = ["ROUGE-1", "ROUGE-2", "ROUGE-L"];

    /// <summary>The three F1: <c>ROUGE-1</c>, <c>ROUGE-2</c>, <c>ROUGE-L</c>, with <c>(stems)</c> behind where stems are compared; where asked for,
    /// each followed by its <c>precision</c> and <c>recall</c>.</summary>
    public IReadOnlyList<string> Names { get; } =
    [
        .. s_kinds.Select(kind => stemmer ? kind + " (stems)" : kind)
            .SelectMany(name => precisionAndRecall ? new[] { name, name + " precision", name + " recall" } : [name]),
    ];

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default) =>
        PairWork.RunAsync(() =>
        {
            var scores = Score(TokenizedPairs.Of(pairs, TextTokens.Rouge, cancellationToken), stemmer, cancellationToken);
            return
            [
                .. Names.Select((name, i) => precisionAndRecall
                    ? new MetricScores(name, Array.ConvertAll(scores[i / 3], score => i % 3 == 0 ? score.F1 : i % 3 == 1 ? score.Precision : score.Recall))
                    : new MetricScores(name, Array.ConvertAll(scores[i], score => score.F1))),
            ];
        }, cancellationToken);

    /// <summary>ROUGE-1, ROUGE-2 and ROUGE-L of each pair.</summary>
    internal static RougeScore[][] Score(TokenizedPairs pairs, bool stemmer, CancellationToken cancellationToken)
    {
        var stems = stemmer ? Stems.Of(pairs.Words, minLength: 4).IdOfWord : null;
        var scores = Array.ConvertAll(s_kinds, _ => new RougeScore[pairs.Count]);
        PairWork.ForEach(pairs.Count, () => (Overlap: new NgramOverlap(2), Sequence: new CommonSubsequence()), (i, memory) =>
        {
            int[] candidate = Stemmed(pairs.Candidates[i]);
            foreach (var words in pairs.References[i])
            {
                int[] reference = Stemmed(words);
                memory.Overlap.SetCandidate(candidate);
                memory.Overlap.AddReference(reference);
                Keep(0, Ngrams(1));
                Keep(1, Ngrams(2));
                Keep(2, Share(memory.Sequence.Length(candidate, reference, cancellationToken), candidate.Length, reference.Length));

                RougeScore Ngrams(int n) => Share(memory.Overlap.Matches(n), candidate.Length - n + 1, reference.Length - n + 1);
            }

            void Keep(int kind, RougeScore score)
            {
                if (score.F1 > scores[kind][i].F1)
                    scores[kind][i] = score;
            }
        }, cancellationToken);
        return scores;

        int[] Stemmed(int[] words) => stems is null ? words : Array.ConvertAll(words, word => stems[word]);
    }

    static RougeScore Share(int common, int candidate, int reference) =>
        new((double)common / Math.Max(candidate, 1), (double)common / Math.Max(reference, 1));
}
