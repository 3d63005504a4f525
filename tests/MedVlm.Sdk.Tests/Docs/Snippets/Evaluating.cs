// snippet: evaluating
using MedVlm.Evaluation;
// end

namespace DocumentationSnippets;

internal static class Evaluating
{
    public static async Task RunAsync(string[] args)
    {
        // snippet: evaluating
        // References as CSV (ID,Caption) or JSON lines; candidates as MedVlm.Sdk writes them: {"id": …, "caption": …}.
        CaptionSet set = CaptionFile.ReadPairs(references: args[0], candidates: args[1]);
        foreach (ICaptionMetric metric in new ICaptionMetric[] { new CocoBleu(), new Rouge(), new Meteor(), new Cider() })
            foreach (MetricScores scores in await metric.ScoreAsync(set.Pairs))
                Console.WriteLine($"{scores.Name}: {scores.Corpus:F4}");
        // end
    }
}
