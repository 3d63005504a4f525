// snippet: bertscore
using MedVlm.Evaluation;
// end

namespace DocumentationSnippets;

internal static class BertScores
{
    public static async Task<IReadOnlyList<MetricScores>> RunAsync(string model, int? layer, IReadOnlyList<CaptionPair> pairs)
    {
        // snippet: bertscore
        // A folder, or a hub id in the local cache. Layer null: the one that bert-score takes of the model of this name.
        await using var encoder = await BertScoreEncoder.LoadAsync(model, layer);
        var scorer = new BertScorer(encoder, new BertScorerOptions { Idf = true });

        IReadOnlyList<MetricScores> scores = await scorer.ScoreAsync(pairs);
        foreach (var score in scores)   // precision, recall, F1; score.PerPair has each pair's
            Console.WriteLine($"{score.Name}: {score.Corpus:F4}");
        // end
        return scores;
    }
}
