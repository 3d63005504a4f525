using MedVlm.Evaluation.Scoring;

namespace MedVlm.Evaluation.Statistics;

/// <summary>The bootstrap: how far a corpus value would move if other images of the same kind had been drawn.</summary>
/// <remarks>
/// Samples of the set's own pairs, drawn with replacement, stand for other sets: Efron and Tibshirani, An Introduction to the Bootstrap,
/// Chapman and Hall 1993. For machine text: Koehn, Statistical significance tests for machine translation evaluation, EMNLP 2004. It
/// speaks of the draw of images only. The model's training and other sources of images are outside of it, and pairs of one patient, which
/// are not independent, make its intervals too narrow.
/// </remarks>
public static class Bootstrap
{
    /// <summary>Draws the samples, the same for all metrics, and takes each metric's corpus value over each of them.</summary>
    /// <param name="metrics">Metrics over the same pairs, in the same order.</param>
    /// <param name="options">How it is done. Default: 1000 resamples, 95 %.</param>
    /// <param name="cancellationToken">Looked at before each sample.</param>
    /// <returns>One distribution for each metric, in their order. Those of two calls with equal options over as many pairs can be compared.</returns>
    /// <exception cref="ArgumentException">No metric, no pair, or metrics of different numbers of pairs.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static IReadOnlyList<BootstrapDistribution> Resample(
        IReadOnlyList<MetricScores> metrics, BootstrapOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(metrics);
        options ??= new();
        options.Check();
        int pairs = Pairs(metrics);

        var replicates = metrics.Select(_ => new double[options.Resamples]).ToArray();
        PairWork.Unwrap(() => Parallel.For(
            0, options.Resamples,
            new ParallelOptions { MaxDegreeOfParallelism = options.Threads, CancellationToken = cancellationToken },
            () => new int[pairs],
            (resample, _, sample) =>
            {
                var random = new SplitMix64(options.Seed, resample);
                for (int i = 0; i < sample.Length; i++)
                    sample[i] = random.Next(pairs);
                for (int metric = 0; metric < replicates.Length; metric++)
                    replicates[metric][resample] = metrics[metric].CorpusOf(sample);
                return sample;
            },
            _ => { }), cancellationToken);

        return [.. metrics.Zip(replicates, (metric, values) => new BootstrapDistribution(metric.Name, metric.Corpus, values, pairs, options))];
    }

    static int Pairs(IReadOnlyList<MetricScores> metrics)
    {
        if (metrics.Count == 0)
            throw new ArgumentException("A bootstrap needs at least one metric.", nameof(metrics));
        int pairs = metrics[0].PerPair.Count;
        if (metrics.FirstOrDefault(metric => metric.PerPair.Count != pairs) is { } other)
            throw new ArgumentException(
                $"{metrics[0].Name} is of {pairs} pairs, {other.Name} of {other.PerPair.Count}: metrics that are resampled together are of the same pairs.",
                nameof(metrics));
        return pairs > 0 ? pairs : throw new ArgumentException("A bootstrap needs at least one pair.", nameof(metrics));
    }
}
