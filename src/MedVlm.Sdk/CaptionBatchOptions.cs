namespace MedVlm;

/// <summary>How the results of a batch come. Immutable.</summary>
public sealed record CaptionBatchOptions
{
    /// <summary>In which order results are handed out. Default: <see cref="CaptionOrder.AsFinished"/>.</summary>
    public CaptionOrder Order { get; init; }
}

/// <summary>Order of a batch's results.</summary>
public enum CaptionOrder
{
    /// <summary>Each result as soon as it is ready. <see cref="CaptionResult.Request"/> tells which request it is of.</summary>
    AsFinished,

    /// <summary>
    /// In the order of the requests. A result waits for those before it; how many may wait is bounded, and the source is not read
    /// further than that, so that one long caption holds up those after it for a while, and memory does not grow.
    /// </summary>
    AsRequested,
}
