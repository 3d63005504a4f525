using System.Globalization;
using CsCheck;
using MedVlm.Evaluation.Statistics;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>Bootstrap intervals and paired differences: laws, and what statistics says of known distributions.</summary>
public sealed class BootstrapTests
{
    [Fact]
    public void A_metrics_own_fault_comes_out_as_it_is() =>
        Assert.Throws<EvaluationDataException>(() => Bootstrap.Resample([new Faulty()], cancellationToken: TestContext.Current.CancellationToken));

    sealed class Faulty() : MetricScores("faulty", [1, 2])
    {
        public override double CorpusOf(ReadOnlySpan<int> sample) => throw new EvaluationDataException("damaged");
    }

    static readonly BootstrapOptions s_few = new() { Resamples = 400 };

    static readonly Gen<double[]> s_scores = Gen.Double[0, 1].Array[1, 60];

    static BootstrapDistribution Resample(IReadOnlyList<double> scores, BootstrapOptions? options = null) =>
        ResampleAll([new MetricScores("m", scores)], options)[0];

    static IReadOnlyList<BootstrapDistribution> ResampleAll(IReadOnlyList<MetricScores> metrics, BootstrapOptions? options = null) =>
        Bootstrap.Resample(metrics, options ?? s_few, TestContext.Current.CancellationToken);

    static PairedDifference Difference(IReadOnlyList<double> first, IReadOnlyList<double> second, BootstrapOptions? options = null) =>
        Resample(second, options).DifferenceFrom(Resample(first, options));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void Gives_the_same_whatever_the_number_of_threads(int threads)
    {
        double[] scores = [.. Enumerable.Range(0, 500).Select(i => Math.Sin(i))];

        Assert.Equal(Resample(scores, s_few with { Threads = 16 }).Replicates, Resample(scores, s_few with { Threads = threads }).Replicates);
    }

    [Fact]
    public void Gives_the_same_for_a_seed_in_every_version_and_on_every_machine()
    {
        double[] scores = [.. Enumerable.Range(0, 10).Select(i => (double)i)];

        // From the same generator in Python: a change of it would change what published seeds give.
        Assert.Equal(new double[] { 2.8, 3.5, 4.8 }, Resample(scores).Replicates.Take(3).Select(value => Math.Round(value, 9)));
        Assert.NotEqual(Resample(scores).Replicates, Resample(scores, s_few with { Seed = 1 }).Replicates);
    }

    [Fact]
    public void Draws_every_pair_equally_often()
    {
        // Of two pairs, a sample holds the second 0, 1 or 2 times in 1/4, 1/2 and 1/4 of the cases.
        var counts = Resample([0, 1], new() { Resamples = 20_000 }).Replicates.CountBy(value => value).ToDictionary();

        Assert.Equal([0, 0.5, 1], counts.Keys.Order());
        Assert.InRange(counts[0.5], 9_700, 10_300);   // 4 standard deviations of a binomial
        Assert.InRange(counts[0], 4_755, 5_245);
    }

    [Fact]
    public void Spreads_as_the_standard_error_of_a_mean()
    {
        var random = new Random(5);
        double[] scores = [.. Enumerable.Range(0, 400).Select(_ => random.NextDouble())];

        var replicates = Resample(scores, new() { Resamples = 4000 }).Replicates;

        Assert.Equal(StandardDeviation(scores) / Math.Sqrt(scores.Length), StandardDeviation(replicates), 0.0005);   // of 0.0145; 3 standard errors
        Assert.Equal(scores.Average(), replicates.Average(), 0.001);
    }

    static double StandardDeviation(IReadOnlyList<double> values) => Math.Sqrt(values.Average(value => Math.Pow(value - values.Average(), 2)));

    [Theory]
    [InlineData("uniform", 0.95)]
    [InlineData("normal", 0.95)]
    [InlineData("exponential", 0.95)]
    [InlineData("mostly zero", 0.95)]
    [InlineData("normal", 0.8)]
    public void Holds_the_true_mean_as_often_as_it_says(string distribution, double confidence)
    {
        var random = new Random(11);
        var (draw, mean) = distribution switch
        {
            "uniform" => ((Func<double>)(() => random.NextDouble()), 0.5),
            "normal" => (() => Normal(random), 0),
            "exponential" => (() => -Math.Log(1 - random.NextDouble()), 1),
            _ => (() => random.Next(5) == 0 ? 1 : 0, 0.2),
        };

        const int Sets = 600;
        int held = Enumerable.Range(0, Sets).Count(_ => Resample([.. Enumerable.Range(0, 80).Select(_ => draw())], s_few with { Confidence = confidence }).Interval.Contains(mean));

        // A percentile interval of 80 values is known to be a little narrow, by up to 2 % for skewed ones; the rest is 3 standard deviations of the count.
        double tolerance = 3 * Math.Sqrt(confidence * (1 - confidence) / Sets);
        Assert.InRange(held / (double)Sets, confidence - 0.02 - tolerance, confidence + tolerance);
    }

    static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    [Fact]
    public void Finds_a_difference_where_there_is_none_in_a_twentieth_of_the_cases()
    {
        var random = new Random(3);
        double[] Draw() => [.. Enumerable.Range(0, 80).Select(_ => Normal(random))];

        int found = Enumerable.Range(0, 600).Count(_ => Difference(Draw(), Draw()).PValue <= 0.05);

        Assert.InRange(found / 600.0, 0.02, 0.09);
    }

    [Fact]
    public void Finds_a_difference_that_is_there_although_the_single_intervals_overlap()
    {
        var random = new Random(4);
        double[] first = [.. Enumerable.Range(0, 100).Select(_ => random.NextDouble())];
        double[] second = [.. first.Select(score => score + 0.02 + 0.01 * random.NextDouble())];

        var difference = Difference(first, second);

        Assert.True(Resample(first).Interval.Upper > Resample(second).Interval.Lower);
        Assert.Equal(2.0 / 401, difference.PValue, 1e-12);   // the least that 400 resamples can say
        Assert.InRange(difference.Interval.Lower, 0.02, 0.03);
        Assert.InRange(difference.Interval.Upper, 0.02, 0.03);
    }

    [Fact]
    public void Identical_candidates_differ_by_nothing_and_p_is_one() => s_scores.Sample(scores =>
    {
        var difference = Difference(scores, [.. scores]);

        Assert.Equal(new PairedDifference(0, new(0, 0), 1), difference);
    }, iter: 30);

    [Fact]
    public void A_pair_of_candidates_the_other_way_round_is_the_mirror_image() => Gen.Select(Gen.Double[0, 1], Gen.Double[0, 1]).Array[1, 60].Sample(pairs =>
    {
        double[] first = [.. pairs.Select(pair => pair.Item1)], second = [.. pairs.Select(pair => pair.Item2)];
        var (there, back) = (Difference(first, second), Difference(second, first));

        Assert.Equal(there.Value, -back.Value);
        Assert.Equal((there.Interval.Lower, there.Interval.Upper), (-back.Interval.Upper, -back.Interval.Lower));
        Assert.Equal(there.PValue, back.PValue);
    }, iter: 50);

    [Fact]
    public void The_p_value_and_the_interval_never_contradict_each_other() =>
        Gen.Select(Gen.Double[-1, 1], Gen.Double[-0.5, 0.5], Gen.Int[0, 3].Select(i => new[] { 0.8, 0.9, 0.95, 0.99 }[i])).SelectMany((noise, shift, confidence) =>
            Gen.Double[-1, 1].Array[5, 40].Select(scores => (scores, shift, confidence))).Sample(input =>
        {
            var options = s_few with { Confidence = input.confidence };
            var difference = Difference([.. input.scores.Select(_ => 0.0)], [.. input.scores.Select(score => score + input.shift)], options);

            Assert.Equal(difference.PValue <= 1 - input.confidence + 1e-12, !difference.Interval.Contains(0));
        }, iter: 200);

    [Theory]
    [InlineData(0.999, 1000, 1999)]
    [InlineData(0.999, 1998, 1999)]
    [InlineData(0.99, 198, 199)]
    [InlineData(0.9999, 1000, 19999)]
    public void A_confidence_that_the_resamples_cannot_give_is_refused(double confidence, int resamples, int needed)
    {
        var options = s_few with { Confidence = confidence, Resamples = resamples };
        Assert.StartsWith(
            string.Create(CultureInfo.InvariantCulture, $"A confidence of {confidence} needs at least {needed} resamples: of fewer, none lies outside of the interval."),
            Assert.Throws<ArgumentOutOfRangeException>(() => Resample([1, 2], options)).Message, StringComparison.Ordinal);

        var least = Resample([1, 2, 4], options with { Resamples = needed });   // from the least sample to the largest
        Assert.Equal(new ConfidenceInterval(least.Replicates.Min(), least.Replicates.Max()), least.Interval);
    }

    [Fact]
    public void Intervals_hold_the_middle_of_the_samples_and_widen_with_the_confidence() => s_scores.Sample(scores =>
    {
        var narrow = Resample(scores, s_few with { Confidence = 0.8 });
        var wide = Resample(scores, s_few with { Confidence = 0.99 });

        Assert.True(wide.Interval.Lower <= narrow.Interval.Lower && narrow.Interval.Upper <= wide.Interval.Upper);
        Assert.InRange(narrow.Interval.Lower, scores.Min() - 1e-12, narrow.Interval.Upper);
        Assert.InRange(narrow.Interval.Upper, narrow.Interval.Lower, scores.Max() + 1e-12);
        if (scores.Length == 1)
            Assert.Equal(new ConfidenceInterval(scores[0], scores[0]), wide.Interval);
    }, iter: 50);

    /// <summary>A metric that sums counts first, as BLEU does.</summary>
    sealed class Ratio(int[] hits, int[] of) : MetricScores("ratio", [.. hits.Zip(of, (hit, all) => (double)hit / all)])
    {
        public override double CorpusOf(ReadOnlySpan<int> sample)
        {
            double hit = 0, all = 0;
            foreach (int pair in sample)
                (hit, all) = (hit + hits[pair], all + of[pair]);
            return hit / all;
        }
    }

    [Fact]
    public void Asks_a_metric_that_is_no_mean_for_its_own_corpus_value()
    {
        var ratio = new Ratio([1, 0, 0, 90], [1, 1, 1, 100]);

        var result = ResampleAll([ratio])[0];

        Assert.Equal(91 / 103.0, result.Value);
        Assert.Contains(result.Replicates, value => value == 0);          // only pairs 2 and 3: a mean of ratios would be 0 too
        Assert.Contains(result.Replicates, value => value is > 0.89 and < 0.9);   // pair 4, and few of the others: a mean would be far lower
    }

    [Fact]
    public void All_metrics_are_taken_over_the_same_samples()
    {
        double[] scores = [.. Enumerable.Range(0, 50).Select(i => (double)i)];

        var both = ResampleAll([new MetricScores("a", scores), new MetricScores("b", [.. scores.Select(score => 2 * score)])]);

        Assert.Equal(both[0].Replicates.Select(value => 2 * value), both[1].Replicates);
        Assert.Equal(both[0].Replicates, Resample(scores).Replicates);
    }

    [Fact]
    public void Says_what_does_not_go_together()
    {
        MetricScores three = new("BLEU-4", [1, 2, 3]), two = new("CIDEr", [1, 2]);

        Assert.StartsWith(
            "BLEU-4 is of 3 pairs, CIDEr of 2: metrics that are resampled together are of the same pairs.",
            Assert.Throws<ArgumentException>(() => ResampleAll([three, two])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ResampleAll([]));
        Assert.Throws<ArgumentException>(() => Resample([]));
        Assert.StartsWith(
            "The samples of m are of 2 pairs, 400 resamples and seed 0; those of the baseline are of 2 pairs, 400 resamples and seed 9. Resample both alike.",
            Assert.Throws<ArgumentException>(() => Resample([1, 2]).DifferenceFrom(Resample([1, 2], s_few with { Seed = 9 }))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Resample([1], new() { Resamples = 99 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Resample([1], new() { Confidence = double.NaN }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Resample([1], new() { Confidence = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Resample([1], new() { Threads = 0 }));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => Bootstrap.Resample([three], cancellationToken: cancelled.Token));
    }
}
