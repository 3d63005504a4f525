using System.Globalization;
using MedVlm.Evaluation.Html;
using MedVlm.Evaluation.Reports.Charts;

namespace MedVlm.Evaluation.Reports;

/// <summary>A report as a page, from top to bottom. It is whole without its script, which only switches the examples' metric and the theme.</summary>
internal static class ReportPage
{
    const int ImageEdge = 360;

    public static async Task<Markup> OfAsync(EvaluationReport report, ImageFolder? images, CancellationToken cancellationToken)
    {
        var examples = Examples.Of(report);
        var thumbnails = images is null
            ? []
            : await Thumbnail.OfAllAsync(images, [.. examples.Pairs.Select(example => report.Ids[example.Pair])], ImageEdge, cancellationToken).ConfigureAwait(false);

        var body = new Markup().Add($"""
            <header class="top"><div><p class="kicker">Caption evaluation</p><h1>{Title(report)}</h1>
            <p class="muted">{report.Counts.Pairs:N0} images, {report.Provenance.Created.UtcDateTime.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture)} UTC, MedVlm.Sdk.Evaluation {ShortVersion(report)}</p></div>
            <button id="theme" type="button" hidden>Dark / light</button></header>
            <main>
            {Tiles(report)}{Scores(report)}{Comparison(report)}{Distributions(report)}{Lengths(report)}{ExamplePairs(report, examples, thumbnails)}{Origin(report)}
            </main>
            <footer class="muted">Scores compare a text with a text: a high one does not make a caption right. Not for clinical use.</footer>

            """);
        return HtmlPage.Of($"Caption evaluation: {Title(report)}", "report", body);
    }

    static string Title(EvaluationReport report) => string.Join(" and ", report.Candidates.Select(candidate => candidate.Name));

    static string ShortVersion(EvaluationReport report) => report.Provenance.SdkVersion.Split('+')[0];

    static string Percent(EvaluationReport report) => string.Create(CultureInfo.InvariantCulture, $"{100 * report.Bootstrap.Confidence:0.##} %");

    static Markup Tiles(EvaluationReport report)
    {
        var tiles = new Markup().Add($"""
            <section class="tiles" aria-label="Counts">
            <div class="tile"><b>{report.Counts.Pairs:N0}</b><span>images</span></div>
            <div class="tile"><b>{report.Counts.References:N0}</b><span>references, {report.Counts.MeanReferenceWords:F1} words on average</span></div>

            """);
        for (int i = 0; i < report.Candidates.Count; i++)
            tiles.Add($"<div class=\"tile\"><b>{report.Candidates[i].MeanWords:F1}</b><span>words on average, {report.Candidates[i].EmptyCaptions:N0} empty: {Name(report, i)}</span></div>\n");
        return tiles.Add($"</section>\n");
    }

    /// <summary>A candidate's name, with its colour where there are two.</summary>
    static Markup Name(EvaluationReport report, int candidate) => report.Candidates.Count == 1
        ? new Markup().Add($"<bdi>{report.Candidates[0].Name}</bdi>")
        : new Markup().Add($"<bdi><i class=\"key c{candidate + 1}\" aria-hidden=\"true\"></i>{report.Candidates[candidate].Name}</bdi>");

    static Markup Scores(EvaluationReport report)
    {
        var table = new Markup().Add($"<section><h2>Scores</h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Metric</th>");
        for (int i = 0; i < report.Candidates.Count; i++)
            table.Add($"<th scope=\"col\" class=\"number\">{Name(report, i)}</th><th scope=\"col\" class=\"number\">{Percent(report)} interval</th>");
        table.Add($"</tr></thead><tbody>\n");
        for (int m = 0; m < report.Candidates[0].Metrics.Count; m++)
        {
            table.Add($"<tr><th scope=\"row\">{report.Candidates[0].Metrics[m].Name}</th>");
            foreach (var metric in report.Candidates.Select(candidate => candidate.Metrics[m]))
                table.Add($"<td class=\"number\"><b>{metric.Format(metric.Value)}</b></td><td class=\"number muted\">{metric.Format(metric.Lower)} to {metric.Format(metric.Upper)}</td>");
            table.Add($"</tr>\n");
        }

        return table.Add($"""
            </tbody></table></div>
            <p class="note">Values over the whole set. The interval says how far a value would move if other images of the same kind had been drawn
            (percentile bootstrap, {report.Bootstrap.Resamples:N0} samples, seed {report.Bootstrap.Seed}).</p></section>

            """);
    }

    static Markup Comparison(EvaluationReport report)
    {
        var section = new Markup();
        if (report.Comparison.Count == 0)
            return section;

        var (first, second) = (report.Candidates[0], report.Candidates[1]);
        section.Add($"""
            <section><h2>{Name(report, 1)} against {Name(report, 0)}</h2>
            <div class="scroll"><table><thead><tr><th scope="col">Metric</th><th scope="col" class="number">Difference</th><th scope="col" class="number">{Percent(report)} interval</th><th scope="col"><span class="sr">Drawing of the interval</span></th><th scope="col" class="number">p</th><th scope="col">Verdict</th><th scope="col" class="number">better / equal / worse</th></tr></thead><tbody>

            """);
        for (int m = 0; m < report.Comparison.Count; m++)
        {
            var (one, metric) = (report.Comparison[m], first.Metrics[m]);
            var (verdict, kind) = one.Lower > 0 ? ("higher", "above") : one.Upper < 0 ? ("lower", "below") : ("no difference shown", "unclear");
            section.Add($"<tr><th scope=\"row\">{one.Metric}</th><td class=\"number\"><b>{Signed(metric, one.Difference)}</b></td><td class=\"number muted\">{Signed(metric, one.Lower)} to {Signed(metric, one.Upper)}</td>");
            section.Add($"<td>{DifferenceBar.Draw(one)}</td><td class=\"number\">{P(one.PValue, report)}</td><td><span class=\"verdict {kind}\">{verdict}</span></td><td class=\"number muted\">{one.Better:N0} / {one.Equal:N0} / {one.Worse:N0}</td></tr>\n");
        }

        return section.Add($"""
            </tbody></table></div>
            <p class="note">Difference: <bdi>{second.Name}</bdi> less <bdi>{first.Name}</bdi>. Both are taken over the same images in every sample (paired bootstrap).
            p: two-sided, for each metric alone; with many metrics, one in twenty falls below 0.05 by chance.</p></section>

            """);
    }

    static string Signed(MetricReport metric, double value) => (value > 0 ? "+" : "") + metric.Format(value).Replace('-', '\u2212');

    /// <summary>The least that so many samples can say is a bound, not a value.</summary>
    static string P(double p, EvaluationReport report) => FormattableString.Invariant(
        p <= 2.0 / (report.Bootstrap.Resamples + 1) ? (FormattableString)$"\u2264 {p:F3}" : $"{p:F3}");

    static Markup Distributions(EvaluationReport report) => Figures(
        report, "Distribution of scores", "How many pairs have which score. The dashed line is the mean of the pairs.",
        series => Histogram.Draw(series, "score of a pair"));

    static Markup Lengths(EvaluationReport report)
    {
        var bins = LengthBins.Of([.. report.Sets[0].Pairs.Select(EvaluationReport.ReferenceWords)]);
        return Figures(
            report, "Score by caption length",
            "Means of the pairs' scores in groups of about one size by the length of their references, with 95 % intervals of the means.",
            series => LengthPlot.Draw(series, bins, "mean score"));
    }

    static Markup Figures(EvaluationReport report, string title, string note, Func<IReadOnlyList<Series>, Markup> draw)
    {
        var section = new Markup().Add($"<section><h2>{title}</h2>\n<p class=\"note\">{note}</p>\n");
        if (report.Candidates.Count > 1)
            section.Add($"<p class=\"legend\">{Name(report, 0)} {Name(report, 1)}</p>\n");
        section.Add($"<div class=\"figures\">\n");
        for (int m = 0; m < report.Candidates[0].Metrics.Count; m++)
        {
            Series[] series = [.. report.Candidates.Select(candidate => new Series(candidate.Name, candidate.Metrics[m]))];
            section.Add($"<figure><figcaption>{series[0].Metric.Name}</figcaption>{draw(series)}</figure>\n");
        }
        return section.Add($"</div></section>\n");
    }

    static Markup ExamplePairs(EvaluationReport report, Examples examples, (Thumbnail? Image, string? Missing)[] thumbnails)
    {
        var metrics = report.Candidates[0].Metrics;
        int shown = Math.Max(metrics.Count - 1, 0);   // without a script, by the last metric
        var section = new Markup().Add($"<section id=\"pairs\"><h2>Single pairs</h2>\n<p><label for=\"by\">By </label><select id=\"by\">");
        for (int m = 0; m < metrics.Count; m++)
            section.Add($"<option value=\"{m}\"{new Markup().AddTrusted(m == shown ? " selected" : "")}>{metrics[m].Name}</option>");
        section.Add($"</select></p>\n");

        var articles = examples.Pairs.Select((example, i) => Article(report, example.Pair, example.Places, thumbnails.Length > 0 ? thumbnails[i] : null)).ToArray();
        var left = Enumerable.Range(0, articles.Length).ToHashSet();
        foreach (var list in examples.Lists)
        {
            section.Add($"<h3>{list.Title}</h3>\n<div class=\"cards\" data-list=\"{list.Name}\">\n");
            var here =
                from i in left
                from place in examples.Pairs[i].Places
                where place.List == list.Name && place.Metric == shown
                orderby place.Rank
                select i;
            foreach (int i in here.ToArray())
            {
                section.Add($"{articles[i]}");
                left.Remove(i);
            }
            section.Add($"</div>\n");
        }

        section.Add($"<div id=\"pool\" hidden>\n");
        foreach (int i in left.Order())
            section.Add($"{articles[i]}");
        return section.Add($"</div></section>\n");
    }

    static Markup Article(EvaluationReport report, int pair, IReadOnlyList<ExamplePlace> places, (Thumbnail? Image, string? Missing)? picture)
    {
        var article = new Markup().Add($"<article class=\"pair\" data-places=\"{string.Join(" ", places.Select(place => $"{place.List}:{place.Metric}:{place.Rank}"))}\">\n");
        if (picture is { Image: { } image })
            article.Add($"<img src=\"{image.Source}\" width=\"{image.Width}\" height=\"{image.Height}\" alt=\"Image {report.Ids[pair]}\" loading=\"lazy\">\n");
        else if (picture is { Missing: { } missing })
            article.Add($"<p class=\"noimage\">{missing}</p>\n");
        article.Add($"<div class=\"text\"><p class=\"id\"><bdi>{report.Ids[pair]}</bdi></p>\n<dl>");
        for (int i = 0; i < report.Candidates.Count; i++)
        {
            var caption = report.Sets[i].Pairs[pair].Candidate;
            article.Add($"<dt>{(report.Candidates.Count == 1 ? new Markup().Add($"Caption") : Name(report, i))}</dt><dd dir=\"auto\">{(string.IsNullOrWhiteSpace(caption) ? "(empty)" : caption)}</dd>\n");
        }
        var references = report.Sets[0].Pairs[pair].References;
        article.Add($"<dt>{(references.Count == 1 ? "Reference" : "References")}</dt>");
        foreach (var reference in references)
            article.Add($"<dd dir=\"auto\">{reference}</dd>");
        article.Add($"</dl>\n<p class=\"chips\">");
        for (int m = 0; m < report.Candidates[0].Metrics.Count; m++)
        {
            article.Add($"<span data-metric=\"{m}\"><em>{report.Candidates[0].Metrics[m].Name}</em> ");
            for (int i = 0; i < report.Candidates.Count; i++)
                article.Add($"<b class=\"t{i + 1}\">{report.Candidates[i].Metrics[m].ShortFormat(report.Candidates[i].Metrics[m].PerPair[pair])}</b> ");
            article.Add($"</span> ");
        }
        return article.Add($"</p></div></article>\n");
    }

    static Markup Origin(EvaluationReport report)
    {
        var section = new Markup().Add($"<section><h2>Origin</h2>\n");
        if (report.Provenance.Files.Count > 0)
        {
            section.Add($"<div class=\"scroll\"><table><thead><tr><th scope=\"col\">File</th><th scope=\"col\">Role</th><th scope=\"col\" class=\"number\">Bytes</th><th scope=\"col\">SHA-256</th></tr></thead><tbody>\n");
            foreach (var file in report.Provenance.Files)
                section.Add($"<tr><th scope=\"row\"><bdi>{file.Name}</bdi></th><td>{file.Role}</td><td class=\"number\">{file.Bytes:N0}</td><td><code>{file.Sha256}</code></td></tr>\n");
            section.Add($"</tbody></table></div>\n");
        }

        section.Add($"<dl class=\"settings\"><dt>SDK</dt><dd>{report.Provenance.SdkVersion}</dd><dt>Bootstrap</dt><dd>{report.Bootstrap.Resamples:N0} samples, {Percent(report)}, seed {report.Bootstrap.Seed}</dd>\n");
        foreach (var (name, value) in report.Provenance.Settings)
            section.Add($"<dt>{name}</dt><dd>{value}</dd>\n");
        return section.Add($"</dl></section>\n");
    }
}
