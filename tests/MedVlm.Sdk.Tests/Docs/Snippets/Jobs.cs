// snippet: job
using MedVlm;
// end

namespace DocumentationSnippets;

internal static class Jobs
{
    public static async Task<CaptionJobReport> RunAsync(string[] args)
    {
        // snippet: job
        await using var captioner = await MedicalCaptioner.LoadAsync(TinyModel.Path);
        var job = new CaptionJob(captioner, CaptionDataset.Open(args[0]), new CaptionJobOptions { Output = args[1] });

        // Goes on where an earlier run was stopped, killed or cut off from its power.
        var report = await job.RunAsync(new Progress<CaptionJobProgress>(p => Console.WriteLine($"{p.Captioned} of {p.Total}, {p.Remaining} left")));
        foreach (var failure in report.Failures)
            Console.WriteLine($"{failure.Id}: {failure.Message}");
        // end
        return report;
    }
}
