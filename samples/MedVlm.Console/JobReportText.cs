using Spectre.Console;

namespace MedVlm.ConsoleSample;

/// <summary>The lines at the end of a job.</summary>
internal static class JobReportText
{
    const int MostFailures = 20, MostDuplicates = 5;

    static readonly Style s_red = new(Color.Red), s_yellow = new(Color.Yellow);

    public static void Write(Terminal terminal, CaptionJobReport report)
    {
        foreach (var failure in report.Failures.Take(MostFailures))
            terminal.WriteLine($"{failure.Id}: {failure.Error}: {failure.Message} (attempts: {failure.Attempts})", s_red);
        if (report.Failed > MostFailures)
            terminal.WriteLine($"and {report.Failed - MostFailures} more in {report.FailuresFile}.", s_red);
        if (report.DuplicateCount > 0)
            terminal.WriteLine(
                $"{report.DuplicateCount} rows of the data set have the id of an earlier row and were left out: {string.Join(", ", report.DuplicateIds.Take(MostDuplicates))}"
                + (report.DuplicateCount > MostDuplicates ? ", …" : ""), s_yellow);

        var seconds = Math.Max(report.Elapsed.TotalSeconds, 1e-3);
        if (report.CaptionedNow > 0)
            terminal.WriteLine($"{report.CaptionedNow} captioned in {seconds:F1} s ({report.CaptionedNow / seconds:F1} images/s, {report.TokensNow / seconds:F0} tokens/s).");
        terminal.WriteLine($"{report.Captioned} of {report.Total} images have a caption, {report.Failed} failed. Written to {report.Output}{(report.Csv is { } csv ? $" and {csv}" : "")}.");
        if (report.Failed > 0)
            terminal.WriteLine($"The failures are in {report.FailuresFile}; --retry-failed tries them again.");
    }
}
