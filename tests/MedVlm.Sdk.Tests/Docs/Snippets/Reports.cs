// snippet: reports
using MedVlm.Evaluation;
using MedVlm.Evaluation.Reports;
// end

namespace DocumentationSnippets;

internal static class Reports
{
    public static async Task<EvaluationReport> RunAsync(string references, string first, string second, string images, string output)
    {
        // snippet: reports
        CandidateSet[] sets =
        [
            new("FP16", CaptionFile.ReadPairs(references, first).Pairs),
            new("INT4", CaptionFile.ReadPairs(references, second).Pairs),
        ];
        var report = await EvaluationReport.CreateAsync(sets, [new CocoBleu(), new Rouge()]);
        foreach (var one in report.Comparison)
            Console.WriteLine($"{one.Metric}: {one.Difference:F4} ({one.Lower:F4} to {one.Upper:F4}), p {one.PValue:F3}");

        await using var page = File.Create(output);
        await report.WriteHtmlAsync(page, new ImageFolder(images));
        // end
        return report;
    }
}
