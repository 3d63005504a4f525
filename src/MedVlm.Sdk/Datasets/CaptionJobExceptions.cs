namespace MedVlm;

/// <summary>A <see cref="CaptionJob"/> cannot begin or go on: its files are in use, damaged, or of something else.</summary>
public class CaptionJobException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public CaptionJobException(string message, Exception? innerException = null) : base(message, innerException) { }
}

/// <summary>The output was begun with another model, prompt, precision, set of options, shard or data set: results are not mixed.</summary>
public sealed class CaptionJobChangedException : CaptionJobException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What differs, and what to do.</param>
    /// <param name="differences">What differs, one line each: "precision was \"int4\", is \"fp32\"".</param>
    public CaptionJobChangedException(string message, IReadOnlyList<string> differences) : base(message) => Differences = differences;

    /// <summary>What differs, one line each.</summary>
    public IReadOnlyList<string> Differences { get; }
}

/// <summary>The results of shards do not make a whole.</summary>
public sealed class CaptionMergeException : CaptionJobException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong, and what to do.</param>
    public CaptionMergeException(string message) : base(message) { }

    /// <summary>How many ids of the data set have no caption.</summary>
    public long MissingCount { get; init; }

    /// <summary>The first of them, where the data set was at hand.</summary>
    public IReadOnlyList<string> MissingIds { get; init; } = [];

    /// <summary>How many lines repeat an id.</summary>
    public long DuplicateCount { get; init; }

    /// <summary>The first of these ids.</summary>
    public IReadOnlyList<string> DuplicateIds { get; init; } = [];

    /// <summary>How many ids have a caption but are not in the data set, or in another shard's part of it.</summary>
    public long ForeignCount { get; init; }

    /// <summary>The first of them.</summary>
    public IReadOnlyList<string> ForeignIds { get; init; } = [];
}
