using System.Globalization;
using MedVlm.Evaluation.Reports;
using Spectre.Console;

namespace MedVlm.ConsoleSample.Evaluation;

/// <summary>The scores of a report, and of two candidates their difference.</summary>
internal static class ScoreTable
{
    static readonly Style s_green = new(Color.Green), s_red = new(Color.Red), s_dim = new(decoration: Decoration.Dim),
        s_bold = new(decoration: Decoration.Bold);

    public static void Write(Terminal terminal, EvaluationReport report)
    {
        var interval = string.Create(CultureInfo.InvariantCulture, $"{100 * report.Bootstrap.Confidence:0.##} % interval");
        terminal.Out.Write(Scores(report, interval));
        if (report.Comparison.Count > 0)
            terminal.Out.Write(Differences(report, interval));
        terminal.WriteLine($"{report.Counts.Pairs} images, {report.Counts.References} references; {report.Bootstrap.Resamples} bootstrap samples, seed {report.Bootstrap.Seed}.");
        foreach (var candidate in report.Candidates.Where(candidate => candidate.EmptyCaptions > 0))
            terminal.WriteLine($"{candidate.Name}: {candidate.EmptyCaptions} empty captions.");
        if (report.Comparison.Count > 0)
            terminal.WriteLine($"Difference: {report.Candidates[1].Name} less {report.Candidates[0].Name}, over the same images in every sample; p is two-sided, for each metric alone.", s_dim);
    }

    static Table Scores(EvaluationReport report, string interval)
    {
        var table = NewTable();
        foreach (var candidate in report.Candidates)
            table.AddColumn(new TableColumn(Terminal.Plain(Short(candidate.Name), s_bold)).RightAligned().NoWrap()).AddColumn(Right(interval));
        for (int m = 0; m < report.Candidates[0].Metrics.Count; m++)
        {
            var format = Format(report, m);
            table.AddRow(
            [
                new Text(report.Candidates[0].Metrics[m].Name),
                .. report.Candidates.Select(candidate => candidate.Metrics[m]).SelectMany(metric =>
                    new[] { new Text(Show(metric.Value, format)), new Text($"{Show(metric.Lower, format)} to {Show(metric.Upper, format)}", s_dim) }),
            ]);
        }
        return table;
    }

    static Table Differences(EvaluationReport report, string interval)
    {
        var table = NewTable().AddColumn(Right("[bold]Difference[/]")).AddColumn(Right(interval)).AddColumn(Right("[bold]p[/]")).AddColumn(Right("better")).AddColumn(Right("equal")).AddColumn(Right("worse"));
        for (int m = 0; m < report.Comparison.Count; m++)
        {
            var (one, format) = (report.Comparison[m], Format(report, m));
            var style = one.Lower > 0 ? s_green : one.Upper < 0 ? s_red : Style.Plain;
            table.AddRow(
                new Text(one.Metric), new Text((one.Difference > 0 ? "+" : "") + Show(one.Difference, format), style),
                new Text($"{Show(one.Lower, format)} to {Show(one.Upper, format)}", s_dim), new Text(P(one.PValue, report), style),
                new Text($"{one.Better}"), new Text($"{one.Equal}"), new Text($"{one.Worse}"));
        }
        return table;
    }

    static Table NewTable() => new Table { Border = TableBorder.Horizontal }.AddColumn(new TableColumn("[bold]Metric[/]").NoWrap());

    static TableColumn Right(string title) => new TableColumn(title).RightAligned().NoWrap();

    static string Show(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    /// <summary>The least that so many samples can say is a bound, not a value.</summary>
    static string P(double p, EvaluationReport report) => (p <= 2.0 / (report.Bootstrap.Resamples + 1) ? "≤ " : "") + Show(p, "F3");

    /// <summary>A name that leaves room for the numbers; its end tells files apart more often than its middle.</summary>
    static string Short(string name) => name.Length <= 24 ? name : $"{name[..11]}…{name[^12..]}";

    /// <summary>Four digits, or two for scores in percent.</summary>
    static string Format(EvaluationReport report, int metric) =>
        report.Candidates.Any(candidate => candidate.Metrics[metric].PerPair.Any(score => Math.Abs(score) > 20)) ? "F2" : "F4";
}
