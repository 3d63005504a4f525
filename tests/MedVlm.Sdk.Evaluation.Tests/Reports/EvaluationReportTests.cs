using System.Text.Json;
using MedVlm.Evaluation.Reports;
using MedVlm.Evaluation.Statistics;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>The report as an object and as JSON.</summary>
public sealed class EvaluationReportTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static readonly CandidateSet s_fp16 = new("fp16.csv", TestCaptions.Make(60, 0.9)), s_int4 = new("int4.csv", TestCaptions.Make(60, 0.6));

    static Task<EvaluationReport> Create(params CandidateSet[] sets) => EvaluationReport.CreateAsync(sets, [TestMetric.Overlap, TestMetric.Percent], cancellationToken: Token);

    static async Task<JsonElement> Json(EvaluationReport report)
    {
        using var stream = new MemoryStream();
        await report.WriteJsonAsync(stream, Token);
        using var document = JsonDocument.Parse(stream.ToArray());
        return document.RootElement.Clone();
    }

    [Fact]
    public async Task Holds_what_bootstrap_and_metrics_give()
    {
        var report = await Create(s_fp16, s_int4);

        MetricScores[] first = [(await TestMetric.Overlap.ScoreAsync(s_fp16.Pairs, Token))[0]], second = [(await TestMetric.Overlap.ScoreAsync(s_int4.Pairs, Token))[0]];
        var expected = Bootstrap.Resample(first, cancellationToken: Token)[0];
        var difference = Bootstrap.Resample(second, cancellationToken: Token)[0].DifferenceFrom(expected);
        var metric = report.Candidates[0].Metrics[0];
        Assert.Equal(("Overlap", expected.Value, expected.Interval.Lower, expected.Interval.Upper), (metric.Name, metric.Value, metric.Lower, metric.Upper));
        Assert.Equal(first[0].PerPair, metric.PerPair);
        var comparison = report.Comparison[0];
        Assert.Equal(
            (difference.Value, difference.Interval.Lower, difference.Interval.Upper, difference.PValue),
            (comparison.Difference, comparison.Lower, comparison.Upper, comparison.PValue));
        Assert.Equal(60, comparison.Better + comparison.Worse + comparison.Equal);
        Assert.Equal(first[0].PerPair.Zip(second[0].PerPair).Count(pair => pair.Second < pair.First), comparison.Worse);
        Assert.True(comparison.Upper < 0);
    }

    [Fact]
    public async Task Its_JSON_is_laid_out_as_its_page_says()
    {
        var options = new EvaluationReportOptions
        {
            Files = [new("references", "Rö 胸部.csv", 12, "ab")], Settings = new Dictionary<string, string> { ["bert"] = "layer 17" },
        };
        var json = await Json(await EvaluationReport.CreateAsync([s_fp16, s_int4], [TestMetric.Overlap], options, Token));

        static string[] Members(JsonElement element) => [.. element.EnumerateObject().Select(member => member.Name)];
        Assert.Equal(["format", "provenance", "bootstrap", "counts", "candidates", "comparison", "ids"], Members(json));
        Assert.Equal(["sdk_version", "created", "files", "settings"], Members(json.GetProperty("provenance")));
        Assert.Equal(["role", "name", "bytes", "sha256"], Members(json.GetProperty("provenance").GetProperty("files")[0]));
        Assert.Equal(["resamples", "confidence", "seed"], Members(json.GetProperty("bootstrap")));
        Assert.Equal(["pairs", "references", "mean_reference_words"], Members(json.GetProperty("counts")));
        Assert.Equal(["name", "empty_captions", "mean_words", "metrics"], Members(json.GetProperty("candidates")[0]));
        Assert.Equal(["name", "value", "lower", "upper", "per_pair"], Members(json.GetProperty("candidates")[0].GetProperty("metrics")[0]));
        Assert.Equal(["metric", "difference", "lower", "upper", "p_value", "better", "worse", "equal"], Members(json.GetProperty("comparison")[0]));

        Assert.Equal("medvlm-evaluation-report/1", json.GetProperty("format").GetString());
        Assert.Equal("layer 17", json.GetProperty("provenance").GetProperty("settings").GetProperty("bert").GetString());
        Assert.Equal("Rö 胸部.csv", json.GetProperty("provenance").GetProperty("files")[0].GetProperty("name").GetString());
        Assert.Equal(60, json.GetProperty("ids").GetArrayLength());
        Assert.Equal(60, json.GetProperty("candidates")[1].GetProperty("metrics")[0].GetProperty("per_pair").GetArrayLength());
        Assert.DoesNotContain("abdomen", json.GetRawText(), StringComparison.Ordinal);   // ids and numbers, no captions
    }

    [Fact]
    public async Task One_candidate_is_compared_with_nothing()
    {
        var report = await Create(s_fp16);

        Assert.Empty(report.Comparison);
        Assert.Equal(0, (await Json(report)).GetProperty("comparison").GetArrayLength());
    }

    [Fact]
    public async Task The_same_captions_twice_differ_by_nothing() => Assert.All(
        (await Create(s_fp16, s_fp16 with { Name = "again" })).Comparison,
        comparison => Assert.Equal((0, 0, 0, 1, 60), (comparison.Difference, comparison.Lower, comparison.Upper, comparison.PValue, comparison.Equal)));

    // An encoder rounds a text differently beside other texts in its batch.
    [Fact]
    public async Task Captions_that_are_the_same_in_both_sets_score_the_same()
    {
        CandidateSet changed = new("changed", [s_fp16.Pairs[0] with { Candidate = "x" }, .. s_fp16.Pairs.Skip(1)]);
        double noise = 0;
        var noisy = new TestMetric("Noisy", pair => (pair.Candidate == "x" ? 0 : 0.5) + 1e-7 * (noise = (noise + 1) % 7));

        var comparison = (await EvaluationReport.CreateAsync([s_fp16, changed], [noisy], cancellationToken: Token)).Comparison[0];

        Assert.Equal((0, 59, 1), (comparison.Better, comparison.Equal, comparison.Worse));
        Assert.Equal(0, comparison.Upper);   // samples without the changed pair do not differ
        Assert.Equal(-0.5 / 60, comparison.Difference, 1e-6);
    }

    [Fact]
    public async Task Counts_words_references_and_empty_captions()
    {
        var report = await Create(new CandidateSet("few", [new("1", ["one two", "one  two\nthree four"], "a b c"), new("2", [""], " "), new("3", ["x"], "")]));

        Assert.Equal(new ReportCounts(3, 4, (3.0 + 0 + 1) / 3), report.Counts);
        Assert.Equal((2, 1.0), (report.Candidates[0].EmptyCaptions, report.Candidates[0].MeanWords));
    }

    [Fact]
    public async Task Hashes_its_files()
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".csv");
        await File.WriteAllTextAsync(path, "abc", Token);
        try
        {
            // FIPS 180-2, appendix B.1
            Assert.Equal(
                new ReportFile("references", Path.GetFileName(path), 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
                await ReportFile.ReadAsync("references", path, Token));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData(1000, 0.999)]
    [InlineData(99, 0.95)]
    public async Task Nothing_is_scored_for_a_bootstrap_that_cannot_be_done(int resamples, double confidence)
    {
        int scored = 0;
        var counting = new TestMetric("Counting", _ => ++scored);
        var options = new EvaluationReportOptions { Bootstrap = new() { Resamples = resamples, Confidence = confidence } };

        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => EvaluationReport.CreateAsync([s_fp16], [counting], options, Token));

        Assert.Equal(0, scored);
    }

    [Fact]
    public async Task Says_what_cannot_be_reported()
    {
        async Task Fails<T>(string message, CandidateSet[] sets, params ICaptionMetric[] metrics) where T : Exception =>
            Assert.StartsWith(
                message, (await Assert.ThrowsAsync<T>(() => EvaluationReport.CreateAsync(sets, metrics, cancellationToken: Token))).Message, StringComparison.Ordinal);

        await Fails<ArgumentException>("A report is of one set of candidates or of two, not of 0.", [], TestMetric.Overlap);
        await Fails<ArgumentException>("none.csv holds no captions.", [new("none.csv", [])], TestMetric.Overlap);
        await Fails<ArgumentException>(
            "fp16.csv and int4.csv are not of the same images in the same order, so that they cannot be compared.",
            [s_fp16, s_int4 with { Pairs = [.. s_int4.Pairs.Reverse()] }], TestMetric.Overlap);
        await Fails<ArgumentException>("A report needs at least one metric.", [s_fp16]);
        await Fails<ArgumentException>("Two metrics are called Overlap: give each once.", [s_fp16], TestMetric.Overlap, TestMetric.Overlap);
        await Fails<InvalidOperationException>(
            "Broken gave NaN for the pair \"image-3\" of fp16.csv, which is no number.", [s_fp16],
            new TestMetric("Broken", pair => pair.Id == "image-3" ? double.NaN : 1));
    }
}
