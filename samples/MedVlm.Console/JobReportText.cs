using Spectre.Console;

namespace MedVlm.ConsoleSample;

/// <summary>The lines at the end of a job.</summary>
internal static class JobReportText
{
    const int MostFailures = 20, MostDuplicates = 5;

    /// <summary>A report lists so many failures; the others are in the file only.</summary>
    const int MostListed = 1000;

    static readonly Style s_red = new(Color.Red), s_yellow = new(Color.Yellow);

    /// <summary>Writes them.</summary>
    /// <param name="terminal">Where to.</param>
    /// <param name="report">What the job, or the merge, left.</param>
    /// <param name="csv">The CSV that was asked for; null if none was.</param>
    /// <param name="retryHint">How failed images are tried again; null where they cannot be.</param>
    public static void Write(Terminal terminal, CaptionJobReport report, string? csv, string? retryHint)
    {
        foreach (var failure in report.Failures.Take(MostFailures))
            terminal.WriteLine($"{failure.Id}: {failure.Error}: {failure.Message} (attempts: {failure.Attempts})", s_red);
        long known = report.Failures.Count < MostListed ? report.Failures.Count : report.Failed;
        if (known > MostFailures)
            terminal.WriteLine($"and {known - MostFailures} more in {report.FailuresFile}.", s_red);
        if (report.Failed > known)
            terminal.WriteLine(
                $"{(known > 0 ? "and " : "")}{report.Failed - known} {(known > 0 ? "more" : "failed")} that cannot be listed: the files of failures (.failed.jsonl) that name them were not beside the shards.",
                s_red);
        if (report.DuplicateCount > 0)
            terminal.WriteLine(
                $"{report.DuplicateCount} rows of the data set have the id of an earlier row and were left out: {string.Join(", ", report.DuplicateIds.Take(MostDuplicates))}"
                + (report.DuplicateCount > MostDuplicates ? ", …" : ""), s_yellow);

        var seconds = Math.Max(report.Elapsed.TotalSeconds, 1e-3);
        if (report.CaptionedNow > 0)
            terminal.WriteLine($"{report.CaptionedNow} captioned in {seconds:F1} s ({report.CaptionedNow / seconds:F1} images/s, {report.TokensNow / seconds:F0} tokens/s).");
        terminal.WriteLine($"{report.Captioned} of {report.Total} images have a caption, {report.Failed} failed. Written to {report.Output}{(report.Csv is null ? "" : $" and {report.Csv}")}.");
        if (report.FailuresFile is not null)
            terminal.WriteLine($"The failures are in {report.FailuresFile}{(retryHint is null ? "" : $"; {retryHint}")}.");
        if (csv is not null && report.Csv is null)
            terminal.WriteLine("The CSV was not written: it is to have a caption for every image.");
    }
}
