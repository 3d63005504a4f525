namespace MedVlm.Evaluation.Statistics;

/// <summary>A metric's corpus value, and the values that it takes over the samples of a bootstrap.</summary>
public sealed class BootstrapDistribution
{
    readonly double[] _replicates;
    readonly int _pairs;
    readonly BootstrapOptions _options;

    internal BootstrapDistribution(string name, double value, double[] replicates, int pairs, BootstrapOptions options) =>
        (Name, Value, _replicates, _pairs, _options) = (name, value, replicates, pairs, options);

    /// <summary>The metric's name.</summary>
    public string Name { get; }

    /// <summary>The corpus value over the set itself.</summary>
    public double Value { get; }

    /// <summary>One corpus value for each sample, in the order in which they were drawn.</summary>
    public IReadOnlyList<double> Replicates => _replicates;

    /// <summary>The percentile interval, at the confidence of the options.</summary>
    /// <remarks>
    /// Of B ordered values the k-th from below and the k-th from above, with k the whole part of (B + 1) (1 - confidence) / 2: Efron and
    /// Tibshirani, section 13.3 and equation 12.22.
    /// </remarks>
    public ConfidenceInterval Interval => Percentiles(_replicates);

    /// <summary>How much this candidate's value differs from another's over the same images.</summary>
    /// <param name="baseline">The other candidate's distribution of the same metric, of the same number of pairs, with equal options.</param>
    /// <remarks>
    /// Both values of a sample come from the same images (the paired bootstrap of Koehn 2004). The p-value is twice the smaller share of
    /// samples in which the difference is not positive, or not negative, each counted with one more (Davison and Hinkley, Bootstrap
    /// Methods and their Application, 1997, section 4.2.3), and at most 1.
    /// </remarks>
    /// <exception cref="ArgumentException">The two were not drawn alike, so that their samples do not belong together.</exception>
    public PairedDifference DifferenceFrom(BootstrapDistribution baseline)
    {
        ArgumentNullException.ThrowIfNull(baseline);
        if (baseline._pairs != _pairs || baseline._options with { Threads = _options.Threads } != _options)
            throw new ArgumentException(
                $"The samples of {Name} are of {_pairs} pairs, {_options.Resamples} resamples and seed {_options.Seed}; those of the baseline are of "
                + $"{baseline._pairs} pairs, {baseline._options.Resamples} resamples and seed {baseline._options.Seed}. Resample both alike.",
                nameof(baseline));

        var differences = _replicates.Zip(baseline._replicates, (mine, other) => mine - other).ToArray();
        int notPositive = differences.Count(difference => difference <= 0), notNegative = differences.Count(difference => difference >= 0);
        double pValue = 2.0 * (Math.Min(notPositive, notNegative) + 1) / (differences.Length + 1);
        return new PairedDifference(Value - baseline.Value, Percentiles(differences), Math.Min(pValue, 1));
    }

    ConfidenceInterval Percentiles(double[] values)
    {
        var sorted = values.Order().ToArray();
        return new ConfidenceInterval(sorted[_options.Tail - 1], sorted[^_options.Tail]);
    }
}
