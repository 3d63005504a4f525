namespace MedVlm.Evaluation.Statistics;

/// <summary>How a bootstrap is done.</summary>
public sealed record BootstrapOptions
{
    /// <summary>How many samples are drawn from the set, each as long as the set. At least 100. Default: 1000.</summary>
    /// <remarks>Efron and Tibshirani (section 13.3) ask for about 1000 where an interval is wanted. A p-value cannot be below 2 / (resamples + 1).</remarks>
    public int Resamples { get; init; } = 1000;

    /// <summary>Share of the intervals that hold the true value, between 0.5 and 1. Default: 0.95.</summary>
    public double Confidence { get; init; } = 0.95;

    /// <summary>The same seed gives the same result, on any machine and with any number of threads. Default: 0.</summary>
    public long Seed { get; init; }

    /// <summary>Threads that work at once. Default: one for each logical processor.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <exception cref="ArgumentOutOfRangeException">A member is out of its range.</exception>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Resamples, 100, nameof(Resamples));
        ArgumentOutOfRangeException.ThrowIfLessThan(Threads, 1, nameof(Threads));
        if (!(Confidence is >= 0.5 and < 1))
            throw new ArgumentOutOfRangeException(nameof(Confidence), Confidence, "A confidence is at least 0.5 and below 1; 0.95 is usual.");
    }
}
