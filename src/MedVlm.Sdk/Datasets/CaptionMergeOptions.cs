namespace MedVlm;

/// <summary>Where the results of shards are put together.</summary>
public sealed record CaptionMergeOptions
{
    /// <summary>The file of all captions; it ends in .jsonl. It is replaced if it is there, and has its provenance beside it. Required.</summary>
    public required string Output { get; init; }

    /// <summary>A file for the captions in ImageCLEF's form, written when every image has its caption. Default: null, none.</summary>
    public string? Csv { get; init; }

    /// <summary>
    /// The data set, so that ids that are missing can be named. Default: null. Without it completeness is checked all the same, by the number and
    /// the sum of the ids that the provenance has.
    /// </summary>
    public CaptionDataset? Dataset { get; init; }

    /// <summary>
    /// Whether images without a caption, because they failed, are no error: the captions that are there are put together, and the failures too.
    /// Every shard must have run to its end all the same. Default: false.
    /// </summary>
    public bool AllowMissing { get; init; }
}
