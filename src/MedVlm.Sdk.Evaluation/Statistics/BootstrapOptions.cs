using System.Globalization;

namespace MedVlm.Evaluation.Statistics;

/// <summary>How a bootstrap is done.</summary>
public sealed record BootstrapOptions
{
    const double Rounding = 1e-9;

    /// <summary>How many samples are drawn from the set, each as long as the set. At least 100. Default: 1000.</summary>
    /// <remarks>Efron and Tibshirani (section 13.3) ask for about 1000 where an interval is wanted. A p-value cannot be below 2 / (resamples + 1).</remarks>
    public int Resamples { get; init; } = 1000;

    /// <summary>Share of the intervals that hold the true value, between 0.5 and 1. Default: 0.95.</summary>
    /// <remarks>An interval needs 2 / (1 - confidence) - 1 resamples at least: 199 for 0.99, 1999 for 0.999.</remarks>
    public double Confidence { get; init; } = 0.95;

    /// <summary>The same seed gives the same result, on any machine and with any number of threads. Default: 0.</summary>
    public long Seed { get; init; }

    /// <summary>Threads that work at once. Default: one for each logical processor.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>k of the interval, whose ends are the k-th sample from below and the k-th from above.</summary>
    // 1 - 0.95 is a little more than 0.05, 1 - 0.9 a little less than 0.1: what should be whole must not fall below it.
    internal int Tail => (int)Math.Floor((Resamples + 1.0) * (1 - Confidence) / 2 + Rounding);

    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range, or the resamples are too few for the confidence.</exception>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Resamples, 100, nameof(Resamples));
        ArgumentOutOfRangeException.ThrowIfLessThan(Threads, 1, nameof(Threads));
        if (!(Confidence is >= 0.5 and < 1))
            throw new ArgumentOutOfRangeException(nameof(Confidence), Confidence, "A confidence is at least 0.5 and below 1; 0.95 is usual.");
        if (Tail < 1)
            throw new ArgumentOutOfRangeException(nameof(Resamples), Resamples, string.Create(CultureInfo.InvariantCulture,
                $"A confidence of {Confidence} needs at least {Math.Ceiling(2 * (1 - Rounding) / (1 - Confidence)) - 1:F0} resamples: of fewer, none lies outside of the interval."));
    }
}
