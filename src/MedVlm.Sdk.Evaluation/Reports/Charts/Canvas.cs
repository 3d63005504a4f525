using MedVlm.Evaluation.Html;

namespace MedVlm.Evaluation.Reports.Charts;

/// <summary>An SVG drawing with a plot area, its two axes and their labels. Colours are classes, which the page's style gives for light and dark.</summary>
internal sealed class Canvas
{
    public const int Width = 420, Height = 230;

    public const double Left = 58, Right = Width - 12, Top = 14, Bottom = Height - 42;

    readonly Markup _marks = new();

    public Canvas(Axis x, Axis y, string xTitle, string yTitle)
    {
        (X, Y) = (x, y);
        foreach (var tick in y.Ticks)
        {
            double at = AtY(tick);
            _marks.Add($"<line class=\"grid\" x1=\"{Left:F1}\" x2=\"{Right:F1}\" y1=\"{at:F1}\" y2=\"{at:F1}\"/>");
            _marks.Add($"<text class=\"tick end\" x=\"{Left - 6:F1}\" y=\"{at + 3.5:F1}\">{y.Label(tick)}</text>\n");
        }
        foreach (var tick in x.Ticks)
            _marks.Add($"<text class=\"tick mid\" x=\"{AtX(tick):F1}\" y=\"{Bottom + 16:F1}\">{x.Label(tick)}</text>");
        _marks.Add($"<line class=\"axis\" x1=\"{Left:F1}\" x2=\"{Right:F1}\" y1=\"{Bottom:F1}\" y2=\"{Bottom:F1}\"/>");
        _marks.Add($"<text class=\"title mid\" x=\"{(Left + Right) / 2:F1}\" y=\"{Height - 8:F1}\">{xTitle}</text>");
        _marks.Add($"<text class=\"title mid\" transform=\"translate(10 {(Top + Bottom) / 2:F1}) rotate(-90)\">{yTitle}</text>\n");
    }

    public Axis X { get; }

    public Axis Y { get; }

    public Markup Marks => _marks;

    public double AtX(double value) => X.Place(value, Left, Right);

    public double AtY(double value) => Y.Place(value, Bottom, Top);

    /// <summary>The drawing.</summary>
    /// <param name="description">What it shows, for those who do not see it.</param>
    public Markup Draw(string description) =>
        new Markup().Add($"<svg class=\"chart\" viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{description}\">\n{_marks}</svg>\n");
}
