namespace MedVlm;

/// <summary>How far a <see cref="CaptionJob"/> is.</summary>
public readonly record struct CaptionJobProgress
{
    /// <summary>Images of the job: of its shard of the data set, each id once.</summary>
    public required long Total { get; init; }

    /// <summary>Images with a caption, those of earlier runs included.</summary>
    public required long Captioned { get; init; }

    /// <summary>Images that have failed and have no caption.</summary>
    public required long Failed { get; init; }

    /// <summary>Images that needed nothing because an earlier run had captioned them.</summary>
    public required long Skipped { get; init; }

    /// <summary>Captions written in this run.</summary>
    public required long CaptionedNow { get; init; }

    /// <summary>Images per second of this run, failures included.</summary>
    public required double ImagesPerSecond { get; init; }

    /// <summary>Tokens per second of this run.</summary>
    public required double TokensPerSecond { get; init; }

    /// <summary>Time since this run's first request.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>Time until the end at this run's speed; null before there is one.</summary>
    public required TimeSpan? Remaining { get; init; }

    /// <summary>Memory that the process has resident, in bytes.</summary>
    public required long MemoryBytes { get; init; }
}
