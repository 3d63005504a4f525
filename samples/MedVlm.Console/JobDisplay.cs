using System.Globalization;
using Spectre.Console;

namespace MedVlm.ConsoleSample;

/// <summary>A job while it runs: a panel that is drawn anew, or now and then a plain line.</summary>
internal static class JobDisplay
{
    static readonly TimeSpan s_pause = TimeSpan.FromSeconds(5);

    public static Task<CaptionJobReport> ShowJobAsync(this Terminal terminal, string device, Func<IProgress<CaptionJobProgress>, Task<CaptionJobReport>> run) =>
        !terminal.IsLive ? run(new PlainLines(terminal)) : terminal.Out.Live(new Text("Reading the data set")).AutoClear(true).StartAsync(
            context => run(new Reporter(progress =>
            {
                context.UpdateTarget(Panel(progress, device));
                context.Refresh();
            })));

    /// <summary>One line: "120 of 1000 (12 %), 3 failed, 4.2 images/s, 88 tokens/s, 0:03:29 left, 512 MiB".</summary>
    public static string Line(CaptionJobProgress p) => string.Join(", ", ((string?[])
    [
        $"{p.Captioned} of {p.Total} ({Percent(p)} %)", $"{p.Failed} failed", p.Skipped > 0 ? $"{p.Skipped} from earlier runs" : null,
        string.Create(CultureInfo.InvariantCulture, $"{p.ImagesPerSecond:F1} images/s"), string.Create(CultureInfo.InvariantCulture, $"{p.TokensPerSecond:F0} tokens/s"),
        $"{Left(p)} left", $"{p.MemoryBytes >> 20} MiB",
    ]).Where(part => part is not null));

    /// <summary>What is drawn anew.</summary>
    public static Rows Panel(CaptionJobProgress p, string device)
    {
        var bar = new BreakdownChart().Width(60).HideTags()
            .AddItem("captioned", p.Captioned, Color.Green).AddItem("failed", p.Failed, Color.Red).AddItem("left", Math.Max(p.Total - p.Captioned - p.Failed, 0), Color.Grey);
        var grid = new Grid().AddColumns(4)
            .AddRow("captioned", $"{p.Captioned} of {p.Total} ({Percent(p)} %)", "images/s", $"{p.ImagesPerSecond:F1}")
            .AddRow("failed", $"{p.Failed}", "tokens/s", $"{p.TokensPerSecond:F0}")
            .AddRow("from earlier runs", $"{p.Skipped}", "left", Left(p))
            .AddRow("this run", Time(p.Elapsed), "memory", $"{p.MemoryBytes >> 20} MiB");
        return new Rows(bar, grid, Terminal.Plain(device), new Text("Ctrl+C stops; the same command goes on.", new Style(decoration: Decoration.Dim)));
    }

    static long Percent(CaptionJobProgress p) => p.Total == 0 ? 100 : p.Captioned * 100 / p.Total;

    static string Left(CaptionJobProgress p) => p.Remaining is { } left ? Time(left) : "unknown time";

    /// <summary>"49:03:29": a job may take days.</summary>
    static string Time(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}:{time.Minutes:D2}:{time.Seconds:D2}");

    sealed class Reporter(Action<CaptionJobProgress> report) : IProgress<CaptionJobProgress>
    {
        public void Report(CaptionJobProgress value) => report(value);
    }

    sealed class PlainLines(Terminal terminal) : IProgress<CaptionJobProgress>
    {
        TimeSpan? _last;

        public void Report(CaptionJobProgress value)
        {
            bool done = value.Captioned + value.Failed == value.Total;
            if (!done && _last is { } last && value.Elapsed - last < s_pause)
                return;
            _last = value.Elapsed;
            terminal.WriteError(Line(value));
        }
    }
}
