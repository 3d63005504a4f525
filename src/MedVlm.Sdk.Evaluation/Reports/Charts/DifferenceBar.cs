using MedVlm.Evaluation.Html;

namespace MedVlm.Evaluation.Reports.Charts;

/// <summary>The interval of a difference beside zero, on a scale of its own, for a cell of a table.</summary>
internal static class DifferenceBar
{
    const int Width = 160, Height = 22;

    public static Markup Draw(MetricComparison comparison)
    {
        double reach = 1.1 * Math.Max(Math.Max(Math.Abs(comparison.Lower), Math.Abs(comparison.Upper)), 1e-12);
        double At(double value) => Width / 2 * (1 + value / reach);
        var direction = comparison.Lower > 0 ? "above" : comparison.Upper < 0 ? "below" : "unclear";
        return new Markup().Add($"""
            <svg class="difference" viewBox="0 0 {Width} {Height}" aria-hidden="true"><line class="axis" x1="{Width / 2}" x2="{Width / 2}" y1="0" y2="{Height}"/><line class="range {direction}" x1="{At(comparison.Lower):F1}" x2="{At(comparison.Upper):F1}" y1="{Height / 2}" y2="{Height / 2}"/><circle class="{direction}" cx="{At(comparison.Difference):F1}" cy="{Height / 2}" r="4"/></svg>
            """);
    }
}
