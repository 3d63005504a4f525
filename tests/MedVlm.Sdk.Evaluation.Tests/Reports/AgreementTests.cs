using CsCheck;
using MedVlm.Evaluation.Statistics;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>Agreement of raters: the worked examples of those who defined the coefficients, and laws.</summary>
public sealed class AgreementTests
{
    /// <summary>Raters as strings, one character for each unit; a point is a missing answer.</summary>
    static IReadOnlyList<IReadOnlyList<double?>> Units(params string[] raters) =>
        [.. Enumerable.Range(0, raters[0].Length).Select(unit => raters.Select(rater => rater[unit] == '.' ? (double?)null : rater[unit] - '0').ToArray())];

    /// <summary>Krippendorff 2011, sections B, C and D; the last two rows are three coders of fifteen units, his example in encyclopedias.</summary>
    [Theory]
    [InlineData("0100000010|1110010000", MeasurementLevel.Nominal, 0.095)]
    [InlineData("112243335441|212223335444", MeasurementLevel.Nominal, 0.692)]
    [InlineData("123321412...|1233224125.3|.3332342251.|12332441251.", MeasurementLevel.Nominal, 0.743)]
    [InlineData("123321412...|1233224125.3|.3332342251.|12332441251.", MeasurementLevel.Ordinal, 0.815)]
    [InlineData("123321412...|1233224125.3|.3332342251.|12332441251.", MeasurementLevel.Interval, 0.849)]
    [InlineData(".....34121133.3|1.213343.......|..21344.21133.4", MeasurementLevel.Nominal, 0.691)]
    [InlineData(".....34121133.3|1.213343.......|..21344.21133.4", MeasurementLevel.Interval, 0.811)]
    public void Alpha_is_that_of_the_published_examples(string raters, MeasurementLevel level, double alpha) =>
        Assert.Equal(alpha, KrippendorffAlpha.Of(Units(raters.Split('|')), level)!.Value, 0.0005);

    [Fact]
    public void Alpha_is_one_for_perfect_agreement_and_undefined_where_nothing_can_be_told()
    {
        foreach (var level in Enum.GetValues<MeasurementLevel>())
        {
            Assert.Equal(1, KrippendorffAlpha.Of(Units("12345", "12.45", "1....5"[..5]), level));
            Assert.Null(KrippendorffAlpha.Of(Units("333", "333"), level));
            Assert.Null(KrippendorffAlpha.Of(Units("12.", "..3"), level));
            Assert.Null(KrippendorffAlpha.Of([], level));
        }
    }

    static readonly Gen<double?[][]> s_units = Gen.Int[0, 5].Select(answer => answer == 0 ? (double?)null : answer).Array[3].Array[3, 30];

    [Fact]
    public void Alpha_knows_no_order_of_raters_or_units_and_the_interval_level_no_scale() => s_units.Sample(units =>
    {
        foreach (var level in Enum.GetValues<MeasurementLevel>())
            Near(KrippendorffAlpha.Of(units, level), KrippendorffAlpha.Of([.. units.Reverse().Select(unit => unit.Reverse().ToArray())], level));
        Near(
            KrippendorffAlpha.Of(units, MeasurementLevel.Interval),
            KrippendorffAlpha.Of([.. units.Select(unit => unit.Select(answer => -3 * answer + 7).ToArray())], MeasurementLevel.Interval));
        Near(
            KrippendorffAlpha.Of(units, MeasurementLevel.Ordinal),
            KrippendorffAlpha.Of([.. units.Select(unit => unit.Select(answer => answer is { } value ? Math.Exp(value) : (double?)null).ToArray())], MeasurementLevel.Ordinal));
    }, iter: 200);

    /// <summary>Krippendorff 2011 writes alpha as 1 - Do / De over pairs of answers: the definition, without the coincidence matrix.</summary>
    [Fact]
    public void Alpha_of_interval_data_is_the_ratio_of_mean_squared_differences() => s_units.Sample(units =>
    {
        var pairable = units.Select(unit => unit.OfType<double>().ToArray()).Where(unit => unit.Length >= 2).ToArray();
        double[] all = [.. pairable.SelectMany(unit => unit)];
        double Squares(double[] values) => values.Sum(a => values.Sum(b => (a - b) * (a - b)));

        double observed = pairable.Sum(unit => Squares(unit) / (unit.Length - 1)) / all.Length, expected = Squares(all) / all.Length / (all.Length - 1);

        Near(expected > 0 ? 1 - observed / expected : null, KrippendorffAlpha.Of(units, MeasurementLevel.Interval));
    }, iter: 200);

    static void Near(double? expected, double? actual)
    {
        Assert.Equal(expected is null, actual is null);
        Assert.Equal(expected ?? 0, actual ?? 0, 1e-9);
    }

    /// <summary>Cohen 1968, table 1: 200 patients, three diagnoses, disagreements that weigh 1, 3 and 6.</summary>
    [Fact]
    public void Weighted_kappa_is_that_of_Cohens_example()
    {
        double[,] shares = { { .44, .07, .09 }, { .05, .20, .05 }, { .01, .03, .06 } };

        Assert.Equal(.348, WeightedKappa.Of(shares, new double[,] { { 0, 1, 3 }, { 1, 0, 6 }, { 3, 6, 0 } })!.Value, 0.0005);
        Assert.Equal(.492, WeightedKappa.Of(shares, new double[,] { { 0, 1, 1 }, { 1, 0, 1 }, { 1, 1, 0 } })!.Value, 0.0005);   // Cohen's kappa of 1960
    }

    static readonly Gen<(int First, int Second)[]> s_grades = Gen.Select(Gen.Int[1, 5], Gen.Int[1, 5]).Array[2, 50];

    /// <summary>With quadratic weights kappa is a concordance correlation: twice the covariance over both variances and the squared difference of means.</summary>
    [Fact]
    public void Quadratic_kappa_is_the_concordance_correlation() => s_grades.Sample(grades =>
    {
        double[] x = [.. grades.Select(grade => (double)grade.First)], y = [.. grades.Select(grade => (double)grade.Second)];
        double meanX = x.Average(), meanY = y.Average();
        double below = x.Average(value => Math.Pow(value - meanX, 2)) + y.Average(value => Math.Pow(value - meanY, 2)) + Math.Pow(meanX - meanY, 2);

        Near(
            below > 0 ? 2 * x.Zip(y, (a, b) => (a - meanX) * (b - meanY)).Average() / below : null,
            WeightedKappa.Quadratic([.. grades.Select(grade => grade.First)], [.. grades.Select(grade => grade.Second)]));
    }, iter: 300);

    [Fact]
    public void Kappa_and_alpha_nearly_agree_for_two_raters_of_many_units()
    {
        var random = new Random(8);
        (int First, int Second)[] grades = [.. Enumerable.Range(0, 2000).Select(_ => random.Next(1, 6)).Select(grade => (grade, Math.Clamp(grade + random.Next(-1, 2), 1, 5)))];

        double kappa = WeightedKappa.Quadratic([.. grades.Select(grade => grade.First)], [.. grades.Select(grade => grade.Second)])!.Value;
        double alpha = KrippendorffAlpha.Of([.. grades.Select(grade => (double?[])[grade.First, grade.Second])], MeasurementLevel.Interval)!.Value;

        Assert.InRange(kappa, 0.7, 0.9);
        Assert.Equal(kappa, alpha, 0.002);   // they differ by who has which habits, and by a term of 1 / units
    }

    [Fact]
    public void Kappa_is_undefined_where_nothing_can_be_told()
    {
        Assert.Null(WeightedKappa.Quadratic([], []));
        Assert.Null(WeightedKappa.Quadratic([3, 3], [3, 3]));
        Assert.Equal(1, WeightedKappa.Quadratic([1, 5], [1, 5]));
        Assert.Equal(-1, WeightedKappa.Quadratic([1, 5], [5, 1]));
        Assert.Equal(0, WeightedKappa.Quadratic([3, 3], [1, 5]));
        Assert.Throws<ArgumentException>(() => WeightedKappa.Quadratic([1], [1, 2]));
        Assert.Throws<ArgumentException>(() => WeightedKappa.Of(new double[2, 2], new double[3, 3]));
    }
}
