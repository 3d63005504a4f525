namespace MedVlm.Datasets;

/// <summary>Counts what a run does, and tells it now and then.</summary>
internal sealed class JobProgress(DatasetIndex index, TimeProvider time, TimeSpan interval, IProgress<CaptionJobProgress>? target)
{
    readonly long _skipped = index.CaptionedCount, _start = time.GetTimestamp();
    long _reported, _images;

    public long Captioned { get; private set; }

    public long Tokens { get; private set; }

    public TimeSpan Elapsed => time.GetElapsedTime(_start);

    public void Add(Caption? caption)
    {
        _images++;
        Captioned += caption is null ? 0 : 1;
        Tokens += caption?.TokenIds.Count ?? 0;
        if (target is not null && time.GetElapsedTime(_reported) >= interval)
            Report();
    }

    public void Report()
    {
        if (target is null)
            return;
        _reported = time.GetTimestamp();
        double seconds = Math.Max(Elapsed.TotalSeconds, 1e-3), rate = _images / seconds;
        long left = index.Total - index.CaptionedCount - index.FailedCount;
        target.Report(new CaptionJobProgress
        {
            Total = index.Total,
            Captioned = index.CaptionedCount,
            Failed = index.FailedCount,
            Skipped = _skipped,
            CaptionedNow = Captioned,
            ImagesPerSecond = rate,
            TokensPerSecond = Tokens / seconds,
            Elapsed = Elapsed,
            Remaining = left == 0 ? TimeSpan.Zero : rate > 0 ? TimeSpan.FromSeconds(Math.Min(left / rate, TimeSpan.MaxValue.TotalSeconds / 2)) : null,
            MemoryBytes = Environment.WorkingSet,
        });
    }
}
