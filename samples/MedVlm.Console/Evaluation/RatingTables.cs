using System.Globalization;
using MedVlm.Evaluation.Ratings;
using MedVlm.Evaluation.Statistics;
using Spectre.Console;

namespace MedVlm.ConsoleSample.Evaluation;

/// <summary>A summary of raters: the scales, the raters, and each two of them.</summary>
internal static class RatingTables
{
    static readonly Style s_dim = new(decoration: Decoration.Dim);

    public static void Write(Terminal terminal, RatingSummary summary, BootstrapOptions options)
    {
        terminal.Out.Write(Scales(summary, options));
        terminal.Out.Write(Raters(summary));
        if (summary.Scales[0].Kappas.Count > 0)
            terminal.Out.Write(Pairs(summary));
        terminal.WriteLine($"Sheet {summary.Sheet}, {summary.Raters.Count} raters; {options.Resamples} bootstrap samples of captions, seed {options.Seed}.");
        terminal.WriteLine("Alpha and kappa: 1 perfect agreement, 0 as by chance. Krippendorff asks for 0.8, or 0.667 for tentative conclusions.", s_dim);
    }

    static Table Scales(RatingSummary summary, BootstrapOptions options)
    {
        var interval = string.Create(CultureInfo.InvariantCulture, $"{100 * options.Confidence:0.##} % interval");
        var table = NewTable("Scale").AddColumn(Right("Captions")).AddColumn(Right("Mean")).AddColumn(Right(interval));
        foreach (int grade in Enumerable.Range(RatingScale.Least, RatingScale.Most))
            table.AddColumn(Right($"{grade}"));
        table.AddColumn(Right("alpha, ordinal")).AddColumn(Right("alpha, interval"));
        foreach (var scale in summary.Scales)
            table.AddRow(
            [
                Terminal.Plain(scale.Scale), new Text($"{scale.Items}"), new Text(Show(scale.Mean, "F2")), new Text($"{Show(scale.Lower, "F2")} to {Show(scale.Upper, "F2")}", s_dim),
                .. scale.Grades.Select(count => new Text($"{count}")), Agreement(scale.AlphaOrdinal), Agreement(scale.AlphaInterval),
            ]);
        return table;
    }

    static Table Raters(RatingSummary summary)
    {
        var table = NewTable("Rater").AddColumn(Right("Rated")).AddColumn(Right("Cannot judge")).AddColumn(Right("Reference seen"));
        foreach (var scale in summary.Scales)
            table.AddColumn(new TableColumn(Terminal.Plain(scale.Scale)).RightAligned());
        foreach (var (rater, i) in summary.Raters.Select((rater, i) => (rater, i)))
            table.AddRow(
            [
                Terminal.Plain(rater.Rater), new Text($"{rater.Rated}"), new Text($"{rater.CannotJudge}"), new Text($"{rater.ReferenceShown}"),
                .. summary.Scales.Select(scale => new Text(scale.Raters[i].Mean is { } mean ? Show(mean, "F2") : "–")),
            ]);
        return table;
    }

    static Table Pairs(RatingSummary summary)
    {
        var table = NewTable("Quadratic-weighted kappa");
        foreach (var scale in summary.Scales)
            table.AddColumn(new TableColumn(Terminal.Plain(scale.Scale)).RightAligned());
        for (int pair = 0; pair < summary.Scales[0].Kappas.Count; pair++)
            table.AddRow(
            [
                Terminal.Plain($"{summary.Scales[0].Kappas[pair].First}, {summary.Scales[0].Kappas[pair].Second}"),
                .. summary.Scales.Select(scale => Agreement(scale.Kappas[pair].Kappa)),
            ]);
        return table;
    }

    static Text Agreement(AgreementSummary? agreement) => new(agreement switch
    {
        { Value: { } value, Lower: { } lower, Upper: { } upper } => $"{Show(value, "F3")} ({Show(lower, "F3")} to {Show(upper, "F3")})",
        { Value: { } value } => Show(value, "F3"),
        _ => "–",
    });

    static Table NewTable(string first) => new Table { Border = TableBorder.Horizontal }.AddColumn(new TableColumn($"[bold]{first}[/]"));

    static TableColumn Right(string title) => new TableColumn(title).RightAligned().NoWrap();

    static string Show(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
