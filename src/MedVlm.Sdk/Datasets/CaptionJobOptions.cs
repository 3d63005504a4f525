namespace MedVlm;

/// <summary>Where a <see cref="CaptionJob"/> writes, and how it goes about it.</summary>
public sealed record CaptionJobOptions
{
    /// <summary>
    /// The file of captions, one JSON object a line; it ends in .jsonl and its folder exists. Beside it lie, named after it, the provenance
    /// (.provenance.json), the failures if there are any (.failed.jsonl), and a lock (.lock). Required.
    /// </summary>
    public required string Output { get; init; }

    /// <summary>
    /// What the captions should be like: part of what must stay the same from run to run. A prompt that an item brings goes before the one here.
    /// Default: <see cref="CaptionOptions"/>'s defaults, whatever the captioner's own are.
    /// </summary>
    /// <remarks>Above temperature 0 a <see cref="CaptionOptions.Seed"/> is required: a caption must not depend on when the job was stopped.</remarks>
    public CaptionOptions Caption { get; init; } = new();

    /// <summary>Which part of the data set to caption. Default: all of it.</summary>
    public DatasetShard Shard { get; init; }

    /// <summary>A file for the captions in ImageCLEF's form, written when every image has its caption. Default: null, none.</summary>
    public string? Csv { get; init; }

    /// <summary>When an image that failed is tried again. Default: see <see cref="CaptionJobRetry"/>.</summary>
    public CaptionJobRetry Retry { get; init; } = new();

    /// <summary>
    /// How long results may wait until they are forced to the disk, with the first result after that time. Each line is handed to the operating system at once, so that the end of the process loses none; a
    /// power failure loses what came since, which the next run captions again. Default: 5 seconds.
    /// </summary>
    public TimeSpan FlushInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How often progress is reported at most. Default: half a second.</summary>
    public TimeSpan ProgressInterval { get; init; } = TimeSpan.FromMilliseconds(500);
}

/// <summary>When an image that failed is tried again.</summary>
public sealed record CaptionJobRetry
{
    /// <summary>Attempts at one image at most, over all runs. Default: 3. Range: 1 to 15.</summary>
    public int MaxAttempts { get; init; } = 3;

    /// <summary>
    /// Whether images whose own fault it is (<see cref="ImageException"/>, <see cref="DatasetException"/>) are tried again too, once in each run,
    /// whatever <see cref="MaxAttempts"/> says. They fail in the same way until someone repairs them. A file that cannot be opened or read is none
    /// of these: it is tried again like everything else. Default: false.
    /// </summary>
    public bool DamagedImages { get; init; }

    /// <summary>Whether a run begins by forgetting the attempts of earlier runs, so that all that failed is tried again. Default: false.</summary>
    public bool StartOver { get; init; }

    /// <summary>
    /// The job ends after so many failures in a row that are no image's fault: a model that cannot run would fail them all.
    /// These failures, which are in memory until then, are not counted as attempts: the next run tries all of them again. A file that is absent again,
    /// in a folder that has others, is none of them: its attempts count. Default: 20.
    /// </summary>
    public int MaxFailuresInARow { get; init; } = 20;
}
