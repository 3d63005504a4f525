using MedVlm.ConsoleSample;

namespace MedVlm.Tests.Samples;

/// <summary>What the console says of a job, while it runs and at its end.</summary>
public sealed class ConsoleJobTextTests
{
    [Fact]
    public void Hours_go_on_after_a_day()
    {
        var progress = new CaptionJobProgress
        {
            Total = 1000, Captioned = 120, Failed = 3, Skipped = 0, CaptionedNow = 120, ImagesPerSecond = 4.2, TokensPerSecond = 88, Elapsed = new TimeSpan(2, 1, 2, 3),
            Remaining = new TimeSpan(4, 4, 5, 6), MemoryBytes = 512L << 20,
        };

        Assert.Equal("120 of 1000 (12 %), 3 failed, 4.2 images/s, 88 tokens/s, 100:05:06 left, 512 MiB", JobDisplay.Line(progress));
        var panel = Written(terminal => terminal.Out.Write(JobDisplay.Panel(progress, "CPU")));
        Assert.Matches("this run +49:02:03 +memory", panel);
        Assert.Matches("left +100:05:06", panel);
    }

    [Theory]
    [InlineData(2, 2, true, """
        0: ImageException: damaged (attempts: 1)
        1: ImageException: damaged (attempts: 1)
        10 of 12 images have a caption, 2 failed. Written to all.jsonl.
        The failures are in all.failed.jsonl.
        """)]
    [InlineData(30, 0, false, """
        30 failed that cannot be listed: the files of failures (.failed.jsonl) that name them were not beside the shards.
        10 of 40 images have a caption, 30 failed. Written to all.jsonl.
        """)]
    [InlineData(30, 1, true, """
        0: ImageException: damaged (attempts: 1)
        and 29 more that cannot be listed: the files of failures (.failed.jsonl) that name them were not beside the shards.
        10 of 40 images have a caption, 30 failed. Written to all.jsonl.
        The failures are in all.failed.jsonl.
        """)]
    public void Failures_are_counted_by_what_is_known_of_them(int failed, int listed, bool file, string expected) =>
        Assert.Equal(expected.ReplaceLineEndings() + Environment.NewLine, Written(terminal => JobReportText.Write(terminal, Report(failed, listed, file), csv: null, retryHint: null)).ReplaceLineEndings());

    [Theory]
    [InlineData(23, 23)]
    [InlineData(1500, 1000)]   // a report lists the first thousand
    public void The_rest_of_many_failures_is_in_their_file(int failed, int listed)
    {
        var text = Written(terminal => JobReportText.Write(terminal, Report(failed, listed, file: true), csv: null, retryHint: "again"));

        Assert.Equal(
            [
                .. Enumerable.Range(0, 20).Select(i => $"{i}: ImageException: damaged (attempts: 1)"), $"and {failed - 20} more in all.failed.jsonl.",
                $"10 of {10 + failed} images have a caption, {failed} failed. Written to all.jsonl.", "The failures are in all.failed.jsonl; again.",
            ],
            text.TrimEnd().ReplaceLineEndings("\n").Split('\n'));
    }

    static CaptionJobReport Report(int failed, int listed, bool file) => new()
    {
        Total = 10 + failed, Captioned = 10, CaptionedNow = 0, TokensNow = 0, Elapsed = default, DuplicateCount = 0, DuplicateIds = [], Output = "all.jsonl",
        Failures = [.. Enumerable.Range(0, listed).Select(i => new CaptionJobFailure($"{i}", "ImageException", "damaged", 1))], FailuresFile = file ? "all.failed.jsonl" : null,
    };

    static string Written(Action<Terminal> write)
    {
        using var output = new StringWriter();
        var console = Terminal.Create(output);
        console.Profile.Width = 400;
        write(new Terminal(console, TextWriter.Null));
        return output.ToString();
    }
}
