namespace MedVlm.Evaluation.Statistics;

/// <summary>Krippendorff's alpha: agreement of any number of raters, each of whom may have left units out.</summary>
/// <remarks>
/// 1 is perfect agreement, 0 what chance alone would give, below 0 worse than chance. Krippendorff, Computing Krippendorff's
/// Alpha-Reliability, 2011 (repository.upenn.edu/asc_papers/43); his rule of thumb: 0.800 for firm, 0.667 for tentative conclusions.
/// </remarks>
public static class KrippendorffAlpha
{
    /// <summary>Agreement over all units.</summary>
    /// <param name="units">For each unit the answers of the raters, in any order; null for a missing one. Units with fewer than two answers say nothing.</param>
    /// <param name="level">How disagreements weigh.</param>
    /// <returns>Alpha; null where it is not defined: no unit with two answers, or all answers the same, so that agreement cannot be told from habit.</returns>
    public static double? Of(IReadOnlyList<IReadOnlyList<double?>> units, MeasurementLevel level)
    {
        ArgumentNullException.ThrowIfNull(units);
        var coincidences = new Coincidences(units);
        return coincidences.Alpha([.. Enumerable.Range(0, units.Count)], level);
    }

    /// <summary>How often each two answers meet in a unit, kept by unit, so that a bootstrap can sum over a sample of units.</summary>
    internal sealed class Coincidences
    {
        readonly double[] _values;   // the different answers, ascending
        readonly int[][] _units;     // for each unit the answers, as indexes of values; empty where there are fewer than two

        public Coincidences(IReadOnlyList<IReadOnlyList<double?>> units)
        {
            _values = [.. units.SelectMany(unit => unit).OfType<double>().Distinct().Order()];
            _units = [.. units.Select(unit => unit.OfType<double>().Select(value => Array.BinarySearch(_values, value)).ToArray())
                .Select(unit => unit.Length < 2 ? [] : unit)];
        }

        public double? Alpha(ReadOnlySpan<int> sample, MeasurementLevel level)
        {
            int n = _values.Length;
            var met = new double[n, n];   // o_ck: each ordered pair of answers of a unit counts 1 / (answers - 1)
            foreach (int index in sample)
            {
                var unit = _units[index];
                for (int i = 0; i < unit.Length; i++)
                    for (int j = 0; j < unit.Length; j++)
                        if (i != j)
                            met[unit[i], unit[j]] += 1.0 / (unit.Length - 1);
            }

            var marginals = new double[n];   // n_c
            for (int c = 0; c < n; c++)
                for (int k = 0; k < n; k++)
                    marginals[c] += met[c, k];
            double total = marginals.Sum(), observed = 0, expected = 0;
            for (int c = 0; c < n; c++)
                for (int k = c + 1; k < n; k++)
                {
                    double distance = Distance(level, c, k, marginals);
                    observed += met[c, k] * distance;
                    expected += marginals[c] * marginals[k] * distance;
                }

            return expected > 0 ? 1 - (total - 1) * observed / expected : null;
        }

        /// <summary>The squared metric difference of the answers c &lt; k.</summary>
        double Distance(MeasurementLevel level, int c, int k, double[] marginals) => level switch
        {
            MeasurementLevel.Nominal => 1,
            MeasurementLevel.Interval => Square(_values[c] - _values[k]),
            // Half of the two ends, and all in between.
            MeasurementLevel.Ordinal => Square(marginals[c..(k + 1)].Sum() - (marginals[c] + marginals[k]) / 2),
            _ => throw new ArgumentOutOfRangeException(nameof(level), level, "No such level."),
        };

        static double Square(double x) => x * x;
    }
}
