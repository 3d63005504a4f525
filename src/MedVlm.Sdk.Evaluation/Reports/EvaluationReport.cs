using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using MedVlm.Evaluation.Statistics;

namespace MedVlm.Evaluation.Reports;

/// <summary>One or two candidates scored by some metrics: corpus values with intervals, all single values, and how the two compare.</summary>
/// <remarks>The members are those of the JSON file, in snake_case and this order. It holds ids and numbers, but no caption. Immutable.</remarks>
public sealed class EvaluationReport
{
    /// <summary>What the JSON file says of its own layout. A change that a reader would notice changes it.</summary>
    public const string CurrentFormat = "medvlm-evaluation-report/1";

    const double MostRounding = 1e-4;

    EvaluationReport(IReadOnlyList<CandidateSet> sets, IReadOnlyList<CandidateReport> candidates, IReadOnlyList<MetricComparison> comparison, EvaluationReportOptions options)
    {
        var pairs = sets[0].Pairs;
        Sets = sets;
        Provenance = new ReportProvenance(Version(), options.TimeProvider.GetUtcNow(), options.Files, options.Settings);
        Bootstrap = new ReportBootstrap(options.Bootstrap.Resamples, options.Bootstrap.Confidence, options.Bootstrap.Seed);
        Counts = new ReportCounts(pairs.Count, pairs.Sum(pair => pair.References.Count), pairs.Average(ReferenceWords));
        (Candidates, Comparison) = (candidates, comparison);
        Ids = [.. pairs.Select(pair => pair.Id)];
    }

    /// <summary>Layout of the file: <see cref="CurrentFormat"/>.</summary>
    public string Format { get; } = CurrentFormat;

    /// <summary>Where it comes from.</summary>
    public ReportProvenance Provenance { get; }

    /// <summary>How the intervals were made.</summary>
    public ReportBootstrap Bootstrap { get; }

    /// <summary>How much was scored.</summary>
    public ReportCounts Counts { get; }

    /// <summary>The candidates, one or two.</summary>
    public IReadOnlyList<CandidateReport> Candidates { get; }

    /// <summary>The second candidate against the first, a line for each metric; empty for one candidate.</summary>
    public IReadOnlyList<MetricComparison> Comparison { get; }

    /// <summary>Ids of the pairs, in the order of <see cref="MetricReport.PerPair"/>.</summary>
    public IReadOnlyList<string> Ids { get; }

    /// <summary>What was scored.</summary>
    [JsonIgnore] public IReadOnlyList<CandidateSet> Sets { get; }

    /// <summary>Scores one candidate, or two and their difference.</summary>
    /// <param name="sets">One set, or two of the same images: the first is what the second is compared with.</param>
    /// <param name="metrics">The metrics, at least one, which give different names.</param>
    /// <param name="options">How it is made. Default: 1000 resamples, 95 %.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="ArgumentException">Not one or two sets, an empty set, two sets of different images, no metric, or a name that two metrics give.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option of the bootstrap is out of its range.</exception>
    /// <exception cref="InvalidOperationException">A metric gave a value that is no number.</exception>
    public static async Task<EvaluationReport> CreateAsync(
        IReadOnlyList<CandidateSet> sets, IReadOnlyList<ICaptionMetric> metrics, EvaluationReportOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sets);
        ArgumentNullException.ThrowIfNull(metrics);
        options ??= new();
        Check(sets, metrics);
        options.Bootstrap.Check();   // before minutes go into scoring

        var scores = new List<IReadOnlyList<MetricScores>>();
        foreach (var set in sets)
        {
            var ofSet = new List<MetricScores>();
            foreach (var metric in metrics)
            {
                options.Progress?.Report($"{set.Name}: {string.Join(", ", metric.Names)}");
                ofSet.AddRange(await metric.ScoreAsync(set.Pairs, cancellationToken).ConfigureAwait(false));
            }
            CheckNumbers(ofSet, set);
            scores.Add(scores.Count == 0 ? ofSet : [.. scores[0].Zip(ofSet, (first, second) => WithoutRounding(sets, first, second))]);
        }

        options.Progress?.Report($"bootstrap of {options.Bootstrap.Resamples} samples");
        // One call, so that the samples of both candidates hold the same images.
        var samples = await Task.Run(() => Statistics.Bootstrap.Resample([.. scores.SelectMany(ofSet => ofSet)], options.Bootstrap, cancellationToken), cancellationToken)
            .ConfigureAwait(false);
        var distributions = samples.Chunk(scores[0].Count).ToArray();

        return new EvaluationReport(
            sets,
            [.. sets.Select((set, i) => Candidate(set, scores[i], distributions[i]))],
            sets.Count == 1 ? [] : [.. Enumerable.Range(0, scores[0].Count).Select(m => Compare(scores[0][m], scores[1][m], distributions[1][m].DifferenceFrom(distributions[0][m])))],
            options);
    }

    /// <summary>Writes it as one line of JSON; docs/evaluation-reports.md describes the members.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public Task WriteJsonAsync(Stream stream, CancellationToken cancellationToken = default) =>
        JsonSerializer.SerializeAsync(stream, this, ReportJson.Default.EvaluationReport, cancellationToken);

    /// <summary>Writes it as a page that is one file and asks for nothing else.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="images">Images of the worst and best pairs, which are scaled down and become part of the page. Default: none.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <remarks>The page holds captions, and images where they are given: keep it as you keep those.</remarks>
    public async Task WriteHtmlAsync(Stream stream, ImageFolder? images = null, CancellationToken cancellationToken = default)
    {
        var page = await ReportPage.OfAsync(this, images, cancellationToken).ConfigureAwait(false);
        await page.WriteAsync(stream, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Words between white space.</summary>
    internal static int Words(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length;

    /// <summary>Mean words of a pair's references.</summary>
    internal static double ReferenceWords(CaptionPair pair) => pair.References.Count == 0 ? 0 : pair.References.Average(Words);

    static CandidateReport Candidate(CandidateSet set, IReadOnlyList<MetricScores> scores, BootstrapDistribution[] distributions) => new(
        set.Name, set.Pairs.Count(pair => string.IsNullOrWhiteSpace(pair.Candidate)), set.Pairs.Average(pair => Words(pair.Candidate)),
        [.. scores.Zip(distributions, (score, distribution) =>
            new MetricReport(score.Name, distribution.Value, distribution.Interval.Lower, distribution.Interval.Upper, score.PerPair))]);

    /// <summary>The second candidate's scores, with the first's value where the caption is the same.</summary>
    /// <remarks>An encoder rounds a text differently beside other texts in its batch. Without this a pair would be better or worse by its last bits, and
    /// samples without any caption that differs would differ. Values that lie further apart are no rounding, and scores that are not means of the
    /// pairs' values sum whole counts, which do not round: both stay.</remarks>
    static MetricScores WithoutRounding(IReadOnlyList<CandidateSet> sets, MetricScores first, MetricScores second) => second.GetType() != typeof(MetricScores)
        ? second
        : new MetricScores(second.Name, second.PerPair.Select((value, i) =>
            Math.Abs(value - first.PerPair[i]) <= MostRounding * Math.Max(1, Math.Abs(value)) && IsSame(sets[0].Pairs[i], sets[1].Pairs[i])
                ? first.PerPair[i]
                : value).ToArray());

    static bool IsSame(CaptionPair first, CaptionPair second) =>
        first.Candidate == second.Candidate && first.References.SequenceEqual(second.References, StringComparer.Ordinal);

    static MetricComparison Compare(MetricScores first, MetricScores second, PairedDifference difference)
    {
        int better = 0, worse = 0;
        for (int pair = 0; pair < first.PerPair.Count; pair++)
        {
            better += second.PerPair[pair] > first.PerPair[pair] ? 1 : 0;
            worse += second.PerPair[pair] < first.PerPair[pair] ? 1 : 0;
        }
        return new MetricComparison(
            first.Name, difference.Value, difference.Interval.Lower, difference.Interval.Upper, difference.PValue, better, worse,
            first.PerPair.Count - better - worse);
    }

    static void Check(IReadOnlyList<CandidateSet> sets, IReadOnlyList<ICaptionMetric> metrics)
    {
        if (sets.Count is not (1 or 2))
            throw new ArgumentException($"A report is of one set of candidates or of two, not of {sets.Count}.", nameof(sets));
        if (sets.FirstOrDefault(set => set.Pairs.Count == 0) is { } empty)
            throw new ArgumentException($"{empty.Name} holds no captions.", nameof(sets));
        if (sets.Count == 2 && !sets[0].Pairs.Select(pair => pair.Id).SequenceEqual(sets[1].Pairs.Select(pair => pair.Id)))
            throw new ArgumentException($"{sets[0].Name} and {sets[1].Name} are not of the same images in the same order, so that they cannot be compared.", nameof(sets));
        if (metrics.Count == 0)
            throw new ArgumentException("A report needs at least one metric.", nameof(metrics));
        if (metrics.SelectMany(metric => metric.Names).CountBy(name => name).FirstOrDefault(name => name.Value > 1).Key is { } name)
            throw new ArgumentException($"Two metrics are called {name}: give each once.", nameof(metrics));
    }

    static void CheckNumbers(List<MetricScores> scores, CandidateSet set)
    {
        foreach (var score in scores)
        {
            if (score.PerPair.Count != set.Pairs.Count)
                throw new InvalidOperationException($"{score.Name} gave {score.PerPair.Count} values for {set.Pairs.Count} pairs.");
            for (int pair = 0; pair < score.PerPair.Count; pair++)
                if (!double.IsFinite(score.PerPair[pair]))
                    throw new InvalidOperationException($"{score.Name} gave {score.PerPair[pair]} for the pair \"{set.Pairs[pair].Id}\" of {set.Name}, which is no number.");
        }
    }

    static string Version() =>
        typeof(EvaluationReport).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}

/// <summary>The report as JSON, by code that is generated at compile time.</summary>
[JsonSerializable(typeof(EvaluationReport))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
internal sealed partial class ReportJson : JsonSerializerContext;
