using MedVlm.Evaluation.Html;

namespace MedVlm.Evaluation.Reports.Charts;

/// <summary>How often which score occurs: bars for the first candidate, an outline for the second.</summary>
internal static class Histogram
{
    const int Bins = 30;

    public static Markup Draw(IReadOnlyList<Series> series, string xTitle)
    {
        var x = Axis.Around(series.Min(one => one.Metric.PerPair.Min()), series.Max(one => one.Metric.PerPair.Max()));
        int[][] counts = [.. series.Select(one => Count(one.Metric.PerPair, x))];
        var canvas = new Canvas(x, Axis.Around(0, counts.Max(one => one.Max())), xTitle, "pairs");
        double width = (Canvas.Right - Canvas.Left) / Bins;

        for (int bin = 0; bin < Bins; bin++)
            if (counts[0][bin] > 0)
                canvas.Marks.Add(
                    $"<rect class=\"bar c1\" x=\"{Canvas.Left + bin * width + 0.5:F1}\" width=\"{width - 1:F1}\" y=\"{canvas.AtY(counts[0][bin]):F1}\" height=\"{Canvas.Bottom - canvas.AtY(counts[0][bin]):F1}\"/>");
        if (counts.Length > 1)
        {
            var steps = counts[1].SelectMany((count, bin) => new[] { (Canvas.Left + bin * width, canvas.AtY(count)), (Canvas.Left + (bin + 1) * width, canvas.AtY(count)) });
            canvas.Marks.Add($"<polyline class=\"outline c2\" points=\"{Points(steps)}\"/>");
        }
        for (int i = 0; i < series.Count; i++)
        {
            double mean = canvas.AtX(series[i].Metric.PerPair.Average());
            canvas.Marks.Add($"<line class=\"mean c{i + 1}\" x1=\"{mean:F1}\" x2=\"{mean:F1}\" y1=\"{Canvas.Top:F1}\" y2=\"{Canvas.Bottom:F1}\"/>\n");
        }

        return canvas.Draw(string.Join(" ", series.Select(one => Describe(one))));
    }

    static Markup Points(IEnumerable<(double X, double Y)> points)
    {
        var text = new Markup();
        foreach (var (x, y) in points)
            text.Add($"{x:F1},{y:F1} ");
        return text;
    }

    static int[] Count(IReadOnlyList<double> scores, Axis x)
    {
        var counts = new int[Bins];
        foreach (double score in scores)
            counts[Math.Clamp((int)x.Place(score, 0, Bins), 0, Bins - 1)]++;
        return counts;
    }

    static string Describe(Series one)
    {
        double[] sorted = [.. one.Metric.PerPair.Order()];
        string At(double share) => one.Metric.Format(sorted[(int)(share * (sorted.Length - 1))]);
        return $"{one.Name}, {one.Metric.Name} of {sorted.Length} pairs: from {At(0)} to {At(1)}, quartiles {At(0.25)}, {At(0.5)} and {At(0.75)}, mean {one.Metric.Format(sorted.Average())}.";
    }
}
