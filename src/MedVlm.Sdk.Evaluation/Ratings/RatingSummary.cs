using System.Text.Json;
using MedVlm.Evaluation.Statistics;

namespace MedVlm.Evaluation.Ratings;

/// <summary>What several raters say of one sheet: means with intervals, and how far the raters agree.</summary>
/// <remarks>The members are those of the JSON file, in snake_case and this order. Immutable.</remarks>
public sealed class RatingSummary
{
    /// <summary>What the JSON file says of its own layout.</summary>
    public const string CurrentFormat = "medvlm-rating-summary/1";

    RatingSummary(IReadOnlyList<RatingAnswers> raters, IReadOnlyList<ScaleSummary> scales)
    {
        (Sheet, Scales) = (raters[0].Sheet, scales);
        Raters = [.. raters.Select(one => new RaterCounts(
            one.Rater, one.Items.Count(item => !item.CannotJudge && item.Scores.Count > 0), one.Items.Count(item => item.CannotJudge), one.Items.Count(item => item.ReferenceShown)))];
    }

    /// <summary>Layout of the file: <see cref="CurrentFormat"/>.</summary>
    public string Format { get; } = CurrentFormat;

    /// <summary>Id of the sheet.</summary>
    public string Sheet { get; }

    /// <summary>Who rated, and how much.</summary>
    public IReadOnlyList<RaterCounts> Raters { get; }

    /// <summary>Results, scale by scale; a scale that nobody answered is left out.</summary>
    public IReadOnlyList<ScaleSummary> Scales { get; }

    /// <summary>Summarises the answers of one or more raters of one sheet.</summary>
    /// <param name="raters">Their answers.</param>
    /// <param name="options">How the intervals are made, which are over captions. Default: 1000 resamples, 95 %.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="RatingFileException">The answers are of different sheets or scales, two have one name, or nobody answered anything.</exception>
    public static RatingSummary Of(IReadOnlyList<RatingAnswers> raters, BootstrapOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(raters);
        Check(raters);
        options ??= new();
        ScaleSummary[] scales = [.. raters[0].Scales.Select(scale => Summarise(scale, raters, options, cancellationToken)).OfType<ScaleSummary>()];
        return scales.Length > 0
            ? new RatingSummary(raters, scales)
            : throw new RatingFileException("No rater graded any caption. Give files of raters who have answered.");
    }

    /// <summary>Writes it as one line of JSON.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public Task WriteJsonAsync(Stream stream, CancellationToken cancellationToken = default) =>
        JsonSerializer.SerializeAsync(stream, this, RatingJson.Default.RatingSummary, cancellationToken);

    static void Check(IReadOnlyList<RatingAnswers> raters)
    {
        if (raters.Count == 0)
            throw new RatingFileException("There are no raters' answers to summarise.");
        if (raters.FirstOrDefault(one => one.Sheet != raters[0].Sheet) is { } other)
            throw new RatingFileException(
                $"{raters[0].Rater} rated sheet {raters[0].Sheet}, {other.Rater} sheet {other.Sheet}: only answers to one sheet go together.");
        if (raters.FirstOrDefault(one => !one.Scales.SequenceEqual(raters[0].Scales)) is { } differing)
            throw new RatingFileException(
                $"{raters[0].Rater} answered the scales {string.Join(", ", raters[0].Scales)}, {differing.Rater} {string.Join(", ", differing.Scales)}: only answers to one sheet go together.");
        if (raters.CountBy(one => one.Rater).FirstOrDefault(name => name.Value > 1).Key is { } twice)
            throw new RatingFileException($"Two files are of the rater \"{twice}\". Give each rater's file once, and raters names of their own.");
    }

    /// <summary>Results on a scale; null where nobody answered it.</summary>
    static ScaleSummary? Summarise(string scale, IReadOnlyList<RatingAnswers> raters, BootstrapOptions options, CancellationToken cancellationToken)
    {
        // [items][raters]: a grade, or null. In the order of the ids, so that the order of files and of answers makes no difference to the samples.
        var grades = raters.Select(one => one.Items.Where(item => !item.CannotJudge && item.Scores.ContainsKey(scale)).ToDictionary(item => item.Id, item => item.Scores[scale])).ToArray();
        string[] ids = [.. grades.SelectMany(one => one.Keys).Distinct().Order(StringComparer.Ordinal)];
        if (ids.Length == 0)
            return null;
        int?[][] items = [.. ids.Select(id => grades.Select(one => one.TryGetValue(id, out int grade) ? grade : (int?)null).ToArray())];
        var strata = raters.SelectMany(one => one.Items).DistinctBy(item => item.Id).ToDictionary(item => item.Id, item => item.Stratum);

        double[] means = [.. items.Select(item => item.Average()!.Value)];
        var mean = Bootstrap.Resample([new MetricScores(scale, means)], options, cancellationToken)[0];
        return new ScaleSummary(
            scale, ids.Length, mean.Value, mean.Interval.Lower, mean.Interval.Upper,
            [.. Enumerable.Range(RatingScale.Least, RatingScale.Most).Select(grade => items.Sum(item => item.Count(answer => answer == grade)))],
            [.. raters.Select((one, r) => new RaterMean(one.Rater, items.Count(item => item[r] is not null), items.Select(item => item[r]).Average()))],
            [.. Enumerable.Range(0, ids.Length).GroupBy(item => strata[ids[item]]).OrderBy(group => group.Key, StringComparer.Ordinal)
                .Select(group => new StratumMean(group.Key, group.Count(), group.Average(item => means[item])))],
            raters.Count < 2 ? null : Alpha(items, MeasurementLevel.Ordinal, options, cancellationToken),
            raters.Count < 2 ? null : Alpha(items, MeasurementLevel.Interval, options, cancellationToken),
            [.. from first in Enumerable.Range(0, raters.Count)
                from second in Enumerable.Range(first + 1, raters.Count - first - 1)
                select new RaterPair(raters[first].Rater, raters[second].Rater, Kappa(items, first, second, options, cancellationToken))]);
    }

    static AgreementSummary Alpha(int?[][] items, MeasurementLevel level, BootstrapOptions options, CancellationToken cancellationToken)
    {
        var both = items.Where(item => item.Count(grade => grade is not null) > 1).Select(item => item.Select(grade => (double?)grade).ToArray()).ToArray();
        var coincidences = new KrippendorffAlpha.Coincidences(both);
        return Agreement(both.Length, sample => coincidences.Alpha(sample, level), options, cancellationToken);
    }

    static AgreementSummary Kappa(int?[][] items, int first, int second, BootstrapOptions options, CancellationToken cancellationToken)
    {
        var both = items.Where(item => item[first] is not null && item[second] is not null).ToArray();
        int[] firsts = [.. both.Select(item => item[first]!.Value)], seconds = [.. both.Select(item => item[second]!.Value)];
        return Agreement(both.Length, sample => WeightedKappa.Quadratic(firsts, seconds, sample), options, cancellationToken);
    }

    delegate double? Coefficient(ReadOnlySpan<int> sample);

    static AgreementSummary Agreement(int items, Coefficient coefficient, BootstrapOptions options, CancellationToken cancellationToken)
    {
        if (items == 0 || coefficient([.. Enumerable.Range(0, items)]) is not { } value)
            return new AgreementSummary(items, null, null, null);
        var samples = Bootstrap.Resample([new CoefficientScores(items, coefficient)], options, cancellationToken)[0];
        return samples.Replicates.Any(double.IsNaN)
            ? new AgreementSummary(items, value, null, null)
            : new AgreementSummary(items, value, samples.Interval.Lower, samples.Interval.Upper);
    }

    /// <summary>A coefficient over samples of the items, for a bootstrap. It has no value for a single item.</summary>
    sealed class CoefficientScores(int items, Coefficient coefficient) : MetricScores("agreement", new double[items])
    {
        public override double CorpusOf(ReadOnlySpan<int> sample) => coefficient(sample) ?? double.NaN;
    }
}

/// <summary>How much a rater did.</summary>
/// <param name="Rater">The rater.</param>
/// <param name="Rated">Captions with a grade.</param>
/// <param name="CannotJudge">Captions that the rater could not judge.</param>
/// <param name="ReferenceShown">Captions for which the rater looked at the reference.</param>
public sealed record RaterCounts(string Rater, int Rated, int CannotJudge, int ReferenceShown);

/// <summary>Results on one scale.</summary>
/// <param name="Scale">Key of the scale.</param>
/// <param name="Items">Captions with at least one grade.</param>
/// <param name="Mean">Mean over captions of the mean over their raters.</param>
/// <param name="Lower">Lower end of its interval.</param>
/// <param name="Upper">Upper end of its interval.</param>
/// <param name="Grades">How often each grade from 1 to 5 was given, by all raters.</param>
/// <param name="Raters">Each rater's mean.</param>
/// <param name="Strata">Each stratum's mean.</param>
/// <param name="AlphaOrdinal">Krippendorff's alpha for ranks; null for a single rater.</param>
/// <param name="AlphaInterval">Krippendorff's alpha for equal steps; null for a single rater.</param>
/// <param name="Kappas">Quadratic-weighted kappa of each two raters.</param>
public sealed record ScaleSummary(
    string Scale, int Items, double Mean, double Lower, double Upper, IReadOnlyList<int> Grades, IReadOnlyList<RaterMean> Raters,
    IReadOnlyList<StratumMean> Strata, AgreementSummary? AlphaOrdinal, AgreementSummary? AlphaInterval, IReadOnlyList<RaterPair> Kappas);

/// <summary>One rater's mean on a scale.</summary>
/// <param name="Rater">The rater.</param>
/// <param name="Items">Captions with a grade.</param>
/// <param name="Mean">Mean grade; null without any.</param>
public sealed record RaterMean(string Rater, int Items, double? Mean);

/// <summary>A stratum's mean on a scale.</summary>
/// <param name="Stratum">The stratum.</param>
/// <param name="Items">Captions with at least one grade.</param>
/// <param name="Mean">Mean over captions of the mean over their raters.</param>
public sealed record StratumMean(string Stratum, int Items, double Mean);

/// <summary>Agreement of two raters.</summary>
/// <param name="First">A rater.</param>
/// <param name="Second">Another.</param>
/// <param name="Kappa">Quadratic-weighted kappa over the captions that both graded.</param>
public sealed record RaterPair(string First, string Second, AgreementSummary Kappa);

/// <summary>A coefficient of agreement.</summary>
/// <param name="Items">Captions with at least two grades.</param>
/// <param name="Value">The coefficient; null where it is not defined, as when all grades are the same.</param>
/// <param name="Lower">Lower end of its interval; null where some samples leave it undefined.</param>
/// <param name="Upper">Upper end of its interval; null where some samples leave it undefined.</param>
public sealed record AgreementSummary(int Items, double? Value, double? Lower, double? Upper);
