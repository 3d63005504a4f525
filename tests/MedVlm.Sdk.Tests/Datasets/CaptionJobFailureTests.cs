using MedVlm.Datasets;

namespace MedVlm.Tests.Datasets;

/// <summary>What counts as an image's own fault, what as an attempt, and what as neither.</summary>
public sealed class CaptionJobFailureTests : IDisposable
{
    readonly JobFixture _job = new(40);

    public void Dispose() => _job.Dispose();

    string Images => _job.Folder.File("images");

    [Theory]
    [InlineData(5, typeof(CaptionJobException))]
    [InlineData(1000, typeof(DatasetException))]   // more than there are images: then the next pass misses the folder
    public async Task Images_that_go_away_during_the_job_are_captioned_when_they_are_back(int maxInARow, Type error)
    {
        int asked = 0;
        var e = await Assert.ThrowsAsync(error, () => _job.RunAsync(
            _job.Options with { Retry = new() { MaxFailuresInARow = maxInARow } },
            (_, _) =>
            {
                if (Interlocked.Increment(ref asked) == 10)
                    Directory.Move(Images, _job.Folder.File("away"));
                return Task.CompletedTask;
            }));

        if (e is CaptionJobException)
            Assert.Equal(
                "The last 5 images failed, and none by its own fault: ImageException: The image file does not exist. Check the path, and that the folder is mounted. "
                + "The job was ended; start it again when the cause is gone.", e.Message);
        Directory.Move(_job.Folder.File("away"), Images);
        var report = await _job.RunAsync();
        Assert.Equal((40, 0), (report.Captioned, report.Failed));
        Assert.Equal(40, JobFixture.Lines(_job.Output).Count);
    }

    [Fact]
    public async Task A_file_that_is_away_for_a_moment_is_tried_again()
    {
        var (path, away) = (Path.Combine(Images, _job.Ids[3]), _job.Folder.File("away"));
        File.Move(path, away);
        var list = _job.Folder.Write("list.csv", string.Concat(_job.Ids.Select(id => $"images/{id}\n").Prepend("path\n")));
        int tries = 0;

        var report = await _job.RunAsync(
            dataset: CaptionDataset.FromList(list),
            before: (request, _) =>
            {
                if (request.Id == $"images/{_job.Ids[3]}" && Interlocked.Increment(ref tries) == 3)
                    File.Move(away, path);
                return Task.CompletedTask;
            });

        Assert.Equal((40, 3), (report.Captioned, tries));
    }

    [Theory]
    [InlineData(40)]
    [InlineData(8)]   // fewer than may fail in a row: the passes count together
    public async Task A_broken_model_uses_up_no_attempts(int images)
    {
        foreach (var id in _job.Ids[images..])
            File.Delete(Path.Combine(Images, id));
        for (int i = 0; i < 3; i++)
            await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync(before: (_, _) => throw new MedVlmException("Out of memory.")));

        var report = await _job.RunAsync();

        Assert.Equal((images, images), (report.Captioned, report.CaptionedNow));
    }

    [Theory]
    [InlineData(4, 10)]    // fewer absent files than may fail in a row, and with the second pass as many
    [InlineData(2, 8)]     // more: no caption comes between them in the second pass
    public async Task Absent_files_among_others_are_tried_three_times_and_the_job_ends(int every, int maxInARow)
    {
        string[] absent = [.. _job.Ids.Where((_, i) => i % every == 0)];
        var list = ListWithout(absent);

        var report = await _job.RunAsync(_job.Options with { Retry = new() { MaxFailuresInARow = maxInARow } }, dataset: list);

        Assert.Equal((40 - absent.Length, absent.Length), (report.Captioned, report.Failed));
        Assert.All(report.Failures, failure => Assert.Equal(3, failure.Attempts));
    }

    [Fact]
    public async Task Absent_files_that_are_all_that_is_left_are_tried_again_and_the_job_ends()
    {
        string[] absent = [.. _job.Ids.Where((_, i) => i % 4 == 0)];
        var list = ListWithout(absent);
        await _job.RunAsync(_job.Options with { Retry = new() { MaxAttempts = 1 } }, dataset: list);

        var report = await _job.RunAsync(_job.Options with { Retry = new() { MaxFailuresInARow = 5 } }, dataset: list);

        Assert.Equal((30, 0, 10), (report.Captioned, report.CaptionedNow, report.Failed));
        Assert.All(report.Failures, failure => Assert.Equal(3, failure.Attempts));
    }

    [Theory, InlineData(1), InlineData(3)]
    public async Task A_model_that_breaks_uses_up_no_attempts_at_images_that_have_failed_before(int maxAttempts)
    {
        // Every second image fails once between captions; from then on all do.
        var failing = _job.Ids.Where((_, i) => i % 2 == 0).ToHashSet();
        var seen = new HashSet<string>();
        Task Once(CaptionRequest request, CancellationToken _)
        {
            lock (seen)
                return failing.Contains(request.Id) && (seen.Add(request.Id) || seen.Count == failing.Count) ? throw new MedVlmException("Out of memory.") : Task.CompletedTask;
        }
        var options = _job.Options with { Retry = new() { MaxAttempts = maxAttempts, MaxFailuresInARow = 12 } };
        if (maxAttempts == 1)
            await _job.RunAsync(options, Once);
        else
            await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync(options, Once));

        // A later run, with a model that fails at once.
        await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync(
            options with { Retry = new() { MaxFailuresInARow = 12 } }, (_, _) => throw new MedVlmException("Out of memory.")));

        Assert.All(JobFixture.Lines(_job.Failures).Values, line => Assert.Equal(1, line.GetProperty("attempts").GetInt32()));
        Assert.Equal(40, (await _job.RunAsync()).Captioned);
    }

    CaptionDataset ListWithout(string[] absent)
    {
        foreach (var id in absent)
            File.Delete(Path.Combine(Images, id));
        return CaptionDataset.FromList(_job.Folder.Write("list.csv", string.Concat(_job.Ids.Select(id => $"images/{id}\n").Prepend("path\n"))));
    }

    [Fact]
    public async Task What_failed_before_a_caption_counts_though_the_job_is_ended_later()
    {
        // One of the first images fails, others succeed, and when all that were in flight are written the model breaks.
        int asked = 0;
        var written = new TaskCompletionSource();
        await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync(
            _job.Options with { ProgressInterval = TimeSpan.Zero },
            async (request, _) =>
            {
                if (request.Id != _job.Ids[2] && Interlocked.Increment(ref asked) <= 15)
                    return;
                if (request.Id != _job.Ids[2])
                    await written.Task;
                throw new MedVlmException("Out of memory.");
            },
            progress: new Reporter(progress =>
            {
                if (progress.CaptionedNow == 15)
                    written.TrySetResult();
            })));

        var (id, line) = Assert.Single(JobFixture.Lines(_job.Failures));
        Assert.Equal((_job.Ids[2], 1), (id, line.GetProperty("attempts").GetInt32()));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Damaged_images_are_tried_in_every_run_that_is_told_to(int maxAttempts)
    {
        _job.Folder.Write($"images/{_job.Ids[4]}", "no image");
        var retry = new CaptionJobRetry { DamagedImages = true, MaxAttempts = maxAttempts };
        int tries = 0;
        Task Before(CaptionRequest request, CancellationToken _) => Task.FromResult(request.Id == _job.Ids[4] ? Interlocked.Increment(ref tries) : 0);

        for (int run = 1; run <= 17; run++)
        {
            var report = await _job.RunAsync(_job.Options with { Retry = retry }, Before);
            Assert.Equal((run, 1, run), (tries, report.Failed, Assert.Single(report.Failures).Attempts));
        }
        _job.Folder.Write($"images/{_job.Ids[4]}", DatasetFiles.Png(7));
        Assert.Equal(0, (await _job.RunAsync(_job.Options with { Retry = retry }, Before)).Failed);
    }

    public static TheoryData<string, bool> Errors => new()
    {
        { "image", true }, { "row", true }, { "cut off", true }, { "file away", false }, { "no right to read", false }, { "memory", false },
    };

    [Theory, MemberData(nameof(Errors))]
    public void An_image_is_at_fault_only_if_it_was_read(string what, bool damage) => Assert.Equal(damage, JobFailures.IsDamage(what switch
    {
        "image" => new ImageException("Damaged.", new FormatException()),
        "row" => new DatasetException("The row names no image."),
        "cut off" => new ImageException("Damaged.", new EndOfStreamException()),
        "file away" => new ImageException("Missing.", new DirectoryNotFoundException()),
        "no right to read" => new ImageException("Missing.", new UnauthorizedAccessException()),
        _ => new OutOfMemoryException(),
    }));

    sealed class Reporter(Action<CaptionJobProgress> report) : IProgress<CaptionJobProgress>
    {
        public void Report(CaptionJobProgress value) => report(value);
    }
}
