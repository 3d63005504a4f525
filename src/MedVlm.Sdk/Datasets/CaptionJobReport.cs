namespace MedVlm;

/// <summary>What a run of a <see cref="CaptionJob"/>, or a merge, leaves.</summary>
public sealed record CaptionJobReport
{
    /// <summary>Images of the job: of its shard of the data set, each id once.</summary>
    public required long Total { get; init; }

    /// <summary>Images with a caption, those of earlier runs included.</summary>
    public required long Captioned { get; init; }

    /// <summary>Images without one, because they failed.</summary>
    public long Failed => Total - Captioned;

    /// <summary>Captions written in this run.</summary>
    public required long CaptionedNow { get; init; }

    /// <summary>Tokens written in this run.</summary>
    public required long TokensNow { get; init; }

    /// <summary>How long this run took, loading of the model not included.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>The images that failed: the first thousand; all of them are in the file of failures.</summary>
    public required IReadOnlyList<CaptionJobFailure> Failures { get; init; }

    /// <summary>Rows of the data set whose id an earlier row has: they are left out.</summary>
    public required long DuplicateCount { get; init; }

    /// <summary>The first of these ids.</summary>
    public required IReadOnlyList<string> DuplicateIds { get; init; }

    /// <summary>The file of captions.</summary>
    public required string Output { get; init; }

    /// <summary>The file of failures; null if nothing failed.</summary>
    public string? FailuresFile { get; init; }

    /// <summary>The file in ImageCLEF's form; null if none was asked for, or images without a caption are left.</summary>
    public string? Csv { get; init; }
}

/// <summary>An image that failed.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Error">The type of the error: "ImageException".</param>
/// <param name="Message">Its message.</param>
/// <param name="Attempts">Attempts so far.</param>
public sealed record CaptionJobFailure(string Id, string Error, string Message, int Attempts);
