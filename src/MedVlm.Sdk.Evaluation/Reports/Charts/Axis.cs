using System.Globalization;

namespace MedVlm.Evaluation.Reports.Charts;

/// <summary>A linear axis whose ends and ticks are round numbers.</summary>
internal readonly record struct Axis(double Low, double High, double Step)
{
    /// <summary>The axis that holds the values, with about five ticks of 1, 2 or 5 times a power of ten.</summary>
    public static Axis Around(double min, double max)
    {
        double span = max - min;
        if (span <= 1e-9 * Math.Max(Math.Abs(max), Math.Abs(min)) || span == 0)
            (min, max, span) = (min - 0.5, max + 0.5, 1);
        double rough = span / 5, power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        double step = power * ((rough / power) switch { < 1.5 => 1, < 3.5 => 2, < 7.5 => 5, _ => 10 });
        return new Axis(Math.Floor(min / step + 1e-9) * step, Math.Ceiling(max / step - 1e-9) * step, step);
    }

    public IEnumerable<double> Ticks
    {
        get
        {
            for (int i = 0; i <= (int)Math.Round((High - Low) / Step); i++)
                yield return Low + i * Step;
        }
    }

    /// <summary>Where a value lies between two coordinates.</summary>
    public double Place(double value, double from, double to) => from + (value - Low) / (High - Low) * (to - from);

    /// <summary>A tick's label, with the digits that tell it from the next.</summary>
    public string Label(double value)
    {
        int digits = Math.Clamp((int)Math.Ceiling(-Math.Log10(Step) - 1e-9), 0, 12);
        return (Math.Abs(value) < Step / 2 ? 0 : value).ToString("F" + digits, CultureInfo.InvariantCulture);
    }
}
