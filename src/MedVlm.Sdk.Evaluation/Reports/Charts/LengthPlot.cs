using MedVlm.Evaluation.Html;

namespace MedVlm.Evaluation.Reports.Charts;

/// <summary>Mean score by the length of the references, each with its 95 % interval.</summary>
internal static class LengthPlot
{
    public static Markup Draw(IReadOnlyList<Series> series, LengthBins bins, string yTitle)
    {
        // A mean lies within the scores, wherever the normal approximation of its interval ends.
        double lowest = series.Min(one => one.Metric.PerPair.Min()), highest = series.Max(one => one.Metric.PerPair.Max());
        var points = series.Select(one => bins.Indexes.Select(pairs => MeanOf(one.Metric.PerPair, pairs)).ToArray()).ToArray();
        var canvas = new Canvas(
            Axis.Around(bins.Words.Min(), bins.Words.Max()),
            Axis.Around(points.Min(one => one.Min(point => Math.Max(point.Mean - point.Half, lowest))), points.Max(one => one.Max(point => Math.Min(point.Mean + point.Half, highest)))),
            "words of the references", yTitle);

        for (int i = 0; i < series.Count; i++)
        {
            var line = new Markup();
            var shift = (i - (series.Count - 1) / 2.0) * 4;   // side by side rather than over each other
            for (int bin = 0; bin < bins.Words.Count; bin++)
            {
                var (mean, half) = points[i][bin];
                double x = canvas.AtX(bins.Words[bin]) + shift;
                line.Add($"{x:F1},{canvas.AtY(mean):F1} ");
                canvas.Marks.Add($"<line class=\"whisker c{i + 1}\" x1=\"{x:F1}\" x2=\"{x:F1}\" y1=\"{canvas.AtY(Math.Max(mean - half, lowest)):F1}\" y2=\"{canvas.AtY(Math.Min(mean + half, highest)):F1}\"/>");
                canvas.Marks.Add($"<circle class=\"dot c{i + 1}\" cx=\"{x:F1}\" cy=\"{canvas.AtY(mean):F1}\" r=\"3.2\"/>\n");
            }
            canvas.Marks.Add($"<polyline class=\"line c{i + 1}\" points=\"{line}\"/>\n");
        }

        return canvas.Draw(string.Join(" ", series.Select((one, i) =>
            $"{one.Name}, mean {one.Metric.Name} by words of the references: "
            + string.Join(", ", bins.Words.Select((words, bin) => $"{words:F0} words {one.Metric.Format(points[i][bin].Mean)}")) + ".")));
    }

    /// <summary>A mean, and 1.96 times its standard error.</summary>
    static (double Mean, double Half) MeanOf(IReadOnlyList<double> scores, int[] pairs)
    {
        double mean = pairs.Average(pair => scores[pair]);
        double variance = pairs.Length < 2 ? 0 : pairs.Sum(pair => Math.Pow(scores[pair] - mean, 2)) / (pairs.Length - 1);
        return (mean, 1.96 * Math.Sqrt(variance / pairs.Length));
    }
}
