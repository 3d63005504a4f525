using System.Text.Json;
using Microsoft.Extensions.Time.Testing;

namespace MedVlm.Tests.Datasets;

/// <summary>One run of a job: its files, failures, provenance, and what it refuses.</summary>
public sealed class CaptionJobTests : IDisposable
{
    readonly JobFixture _job = new(12);

    public void Dispose() => _job.Dispose();

    [Fact]
    public async Task Writes_a_line_for_each_image_and_provenance_beside()
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 11, 24, 12, 0, 0, TimeSpan.Zero));

        var report = await _job.RunAsync(_job.Options with { Csv = _job.Folder.File("run.csv") }, time: time);

        Assert.Equal((12, 12, 12, 0, 24), (report.Total, report.Captioned, report.CaptionedNow, report.Failed, report.TokensNow));
        var lines = JobFixture.Lines(_job.Output);
        Assert.Equal(_job.Ids.ToHashSet(), lines.Keys.ToHashSet());
        Assert.Equal(
            ["id", "caption", "tokens", "finish_reason", "confidence", "preprocess_ms", "queue_ms", "vision_ms", "prefill_ms", "decode_ms", "image_sha256"],
            lines[_job.Ids[0]].EnumerateObject().Select(member => member.Name));
        Assert.Equal($"Caption of {_job.Ids[3]}", lines[_job.Ids[3]].GetProperty("caption").GetString());
        Assert.Equal(
            Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(DatasetFiles.Png(1))), lines[_job.Ids[3]].GetProperty("image_sha256").GetString());

        using var provenance = JsonDocument.Parse(File.ReadAllBytes(_job.Provenance));
        var identity = provenance.RootElement.GetProperty("identity");
        Assert.Equal(("a model", "fp32", "What?", 12), (
            identity.GetProperty("model").GetString(), identity.GetProperty("precision").GetString()!.ToLowerInvariant(),
            identity.GetProperty("options").GetProperty("prompt").GetString(), identity.GetProperty("dataset").GetProperty("items").GetInt32()));
        var run = Assert.Single(provenance.RootElement.GetProperty("runs").EnumerateArray());
        Assert.Equal(("complete", 12, time.GetUtcNow()), (run.GetProperty("outcome").GetString(), run.GetProperty("captioned").GetInt32(), run.GetProperty("finished").GetDateTimeOffset()));
        Assert.False(File.Exists(_job.Failures));

        var csv = File.ReadAllText(_job.Folder.File("run.csv"));
        Assert.StartsWith("ID,Caption\n", csv, StringComparison.Ordinal);
        Assert.Equal(_job.Ids.Select(id => $"{id},Caption of {id}").ToHashSet(), csv.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).ToHashSet());
        Assert.Equal((byte)'I', File.ReadAllBytes(_job.Folder.File("run.csv"))[0]);   // no byte order mark
    }

    [Fact]
    public async Task A_second_run_does_nothing_and_says_so()
    {
        await _job.RunAsync();
        var before = File.ReadAllBytes(_job.Output);
        int asked = 0;

        var report = await _job.RunAsync(before: (_, _) => Task.FromResult(asked++));

        Assert.Equal((0, 0, 12), (asked, report.CaptionedNow, report.Captioned));
        Assert.Equal(before, File.ReadAllBytes(_job.Output));
    }

    [Fact]
    public async Task Failures_are_tried_again_and_leave_no_second_line()
    {
        var tries = new System.Collections.Concurrent.ConcurrentDictionary<string, int>();
        Task Before(CaptionRequest request, CancellationToken _)
        {
            int number = tries.AddOrUpdate(request.Id, 1, (_, count) => count + 1);
            return request.Id == _job.Ids[2] && number < 3 || request.Id == _job.Ids[5] ? throw new IOException("The share is away.") : Task.CompletedTask;
        }

        var report = await _job.RunAsync(before: Before);

        Assert.Equal((11, 1), (report.Captioned, report.Failed));
        Assert.Equal((3, 3, 1), (tries[_job.Ids[2]], tries[_job.Ids[5]], tries[_job.Ids[0]]));
        Assert.Equal(new CaptionJobFailure(_job.Ids[5], "IOException", "The share is away.", 3), Assert.Single(report.Failures));
        Assert.Equal(11, JobFixture.Lines(_job.Output).Count);
        Assert.Equal(_job.Ids[5], Assert.Single(JobFixture.Lines(_job.Failures)).Key);

        // As often as it may: the next run leaves it alone, until it is told to begin again.
        Assert.Equal(1, (await _job.RunAsync(before: Before)).Failed);
        Assert.Equal(3, tries[_job.Ids[5]]);
        report = await _job.RunAsync(_job.Options with { Retry = new() { StartOver = true } });
        Assert.Equal((12, 0, 1), (report.Captioned, report.Failed, report.CaptionedNow));
        Assert.Equal(12, JobFixture.Lines(_job.Output).Count);
        Assert.False(File.Exists(_job.Failures));
    }

    [Fact]
    public async Task A_damaged_image_is_tried_once_until_it_is_repaired()
    {
        _job.Folder.Write($"images/{_job.Ids[4]}", "no image");
        int tries = 0;
        Task Before(CaptionRequest request, CancellationToken _) => Task.FromResult(request.Id == _job.Ids[4] ? Interlocked.Increment(ref tries) : 0);

        var report = await _job.RunAsync(_job.Options with { Csv = _job.Folder.File("run.csv") }, Before);
        await _job.RunAsync(before: Before);

        Assert.Equal((1, "ImageException"), (tries, Assert.Single(report.Failures).Error));
        Assert.Null(report.Csv);
        Assert.False(File.Exists(_job.Folder.File("run.csv")));   // it would lack an id

        _job.Folder.Write($"images/{_job.Ids[4]}", DatasetFiles.Png(7));
        report = await _job.RunAsync(_job.Options with { Retry = new() { DamagedImages = true } }, Before);
        Assert.Equal((12, 2), (report.Captioned, tries));
    }

    [Fact]
    public async Task A_model_that_fails_on_every_image_ends_the_job()
    {
        var e = await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync(
            _job.Options with { Retry = new() { MaxFailuresInARow = 5 } }, (_, _) => throw new MedVlmException("Out of memory.")));

        Assert.Equal("The last 5 images failed, and none by its own fault: MedVlmException: Out of memory. The job was ended; start it again when the cause is gone.", e.Message);
        Assert.Equal(12, (await _job.RunAsync()).Captioned);
    }

    [Fact]
    public async Task Duplicate_ids_are_captioned_once_and_reported()
    {
        var list = _job.Folder.Write("list.csv", $"id,path\nx,images/{_job.Ids[0]}\ny,images/{_job.Ids[1]}\nx,images/{_job.Ids[2]}\n");

        var report = await _job.RunAsync(dataset: CaptionDataset.FromList(list));

        Assert.Equal((2, 2, 1, "x"), (report.Total, report.Captioned, report.DuplicateCount, Assert.Single(report.DuplicateIds)));
        Assert.Equal(["x", "y"], JobFixture.Lines(_job.Output).Keys.Order());
    }

    [Fact]
    public async Task Items_bring_their_own_prompts()
    {
        var list = _job.Folder.Write("list.csv", $"id,path,prompt\nx,images/{_job.Ids[0]},Which organ?\ny,images/{_job.Ids[1]},\n");
        var prompts = new System.Collections.Concurrent.ConcurrentDictionary<string, string?>();

        await _job.RunAsync(before: (request, _) => Task.FromResult(prompts[request.Id] = request.Options!.Prompt), dataset: CaptionDataset.FromList(list));

        Assert.Equal(("Which organ?", "What?"), (prompts["x"], prompts["y"]));
        _job.Folder.Write("list.csv", File.ReadAllText(list).Replace("organ", "bone", StringComparison.Ordinal));
        var e = await Assert.ThrowsAsync<CaptionJobChangedException>(() => _job.RunAsync(dataset: CaptionDataset.FromList(list)));
        Assert.StartsWith("dataset.prompts was ", Assert.Single(e.Differences), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model", "model was \"a model\", is \"another\"")]
    [InlineData("precision", "precision was \"Fp32\", is \"Int4\"")]
    [InlineData("prompt", "options.prompt was \"What?\", is \"Why?\"")]
    [InlineData("tokens", "options.max_new_tokens was 128, is 64")]
    [InlineData("dataset", "dataset.items was 12, is 13")]
    [InlineData("shard", "shard was 0/1, is 0/2")]
    public async Task Results_of_another_kind_are_not_mixed_in(string change, string difference)
    {
        await _job.RunAsync();
        var before = File.ReadAllBytes(_job.Output);
        if (change == "dataset")
            _job.Folder.Write("images/new.png", DatasetFiles.Png(1));

        var e = await Assert.ThrowsAsync<CaptionJobChangedException>(() => _job.RunAsync(
            _job.Options with
            {
                Caption = new() { Prompt = change == "prompt" ? "Why?" : null, MaxNewTokens = change == "tokens" ? 64 : 128 },
                Shard = change == "shard" ? new(0, 2) : DatasetShard.Whole,
            },
            model: JobFixture.Model with { Model = change == "model" ? "another" : "a model", Precision = change == "precision" ? Precision.Int4 : Precision.Fp32 }));

        Assert.Equal(difference, e.Differences[0]);
        Assert.StartsWith("captions.jsonl was begun with something else, and captions are not mixed: ", e.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(_job.Output));
    }

    [Fact]
    public async Task The_content_of_a_model_counts_and_not_its_name()
    {
        await _job.RunAsync(model: JobFixture.Model with { Content = () => "abc" });
        await _job.RunAsync(model: JobFixture.Model with { Content = () => "abc", Model = "moved" });

        var e = await Assert.ThrowsAsync<CaptionJobChangedException>(() => _job.RunAsync(model: JobFixture.Model with { Content = () => "abd" }));
        Assert.Equal("model_content was \"abc\", is \"abd\"", Assert.Single(e.Differences));
    }

    [Fact]
    public async Task A_named_pipe_among_the_images_fails_by_itself()
    {
        _job.Folder.MakePipe("images/x.jpg");

        var report = await Task.Run(() => _job.RunAsync()).WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);

        Assert.Equal((13, 12), (report.Total, report.Captioned));
        var failure = Assert.Single(report.Failures);
        Assert.Equal(("x.jpg", "ImageException"), (failure.Id, failure.Error));
    }

    [Fact]
    public async Task A_lock_that_cannot_be_opened_is_not_another_process()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There it takes a privilege to make links.");
        File.CreateSymbolicLink(_job.Folder.File("captions.lock"), "captions.lock");   // leads to itself: an IOException like that of a full disk

        var e = await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync());

        Assert.Equal($"captions.lock cannot be opened. {e.InnerException!.Message}", e.Message);
        Assert.Equal(typeof(IOException), e.InnerException.GetType());
    }

    [Fact]
    public async Task Two_processes_do_not_write_one_output()
    {
        var (running, end) = (new TaskCompletionSource(), new TaskCompletionSource());
        var first = _job.RunAsync(before: (_, _) =>
        {
            running.TrySetResult();
            return end.Task;
        });
        await running.Task;

        var e = await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync());

        Assert.Equal("captions.jsonl is being written by another process. Wait for it, or give each its own output (and shard).", e.Message);
        end.SetResult();
        Assert.Equal(12, (await first).Captioned);
    }

    [Theory]
    [InlineData("captions.jsonl", "nonsense\n", "captions.jsonl: line 13 is none that a caption job writes.")]
    [InlineData("captions.jsonl", "{\"id\":\"unknown\",\"caption\":\"x\"}\n", "captions.jsonl: line 13 has an id that an earlier line has, or that is not in the data set.")]
    [InlineData("captions.failed.jsonl", "{}\n", "captions.failed.jsonl: line 1 is none that a caption job writes.")]
    public async Task Files_that_were_changed_are_not_built_upon(string name, string added, string message)
    {
        await _job.RunAsync();
        File.AppendAllText(_job.Folder.File(name), added);

        Assert.StartsWith(message, (await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_caption_that_is_there_twice_is_noticed()
    {
        await _job.RunAsync();
        File.AppendAllText(_job.Output, File.ReadLines(_job.Output).First() + "\n");

        Assert.Contains("line 13 has an id that an earlier line has", (await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Captions_without_their_provenance_are_not_built_upon()
    {
        await _job.RunAsync();
        File.Delete(_job.Provenance);

        Assert.StartsWith(
            "captions.jsonl is there, but not captions.provenance.json", (await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync())).Message, StringComparison.Ordinal);
        File.WriteAllText(_job.Provenance, "{");
        Assert.StartsWith("captions.provenance.json cannot be read", (await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync())).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("captions.txt", "ends in .jsonl")]
    [InlineData("no/captions.jsonl", "does not exist")]
    public async Task An_output_that_cannot_be_is_refused(string output, string message) => Assert.Contains(
        message, (await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync(new() { Output = _job.Folder.File(output) }))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("captions.jsonl", "The CSV would replace captions.jsonl, a file of the job captions.jsonl: give it a name of its own.")]
    [InlineData("no/../Captions.jsonl", "The CSV would replace Captions.jsonl, a file of the job captions.jsonl: give it a name of its own.")]
    [InlineData("captions.failed.jsonl", "The CSV would replace captions.failed.jsonl, a file of the job captions.jsonl: give it a name of its own.")]
    [InlineData("captions.provenance.json", "The CSV would replace captions.provenance.json, a file of the job captions.jsonl: give it a name of its own.")]
    [InlineData("captions.lock", "The CSV would replace captions.lock, a file of the job captions.jsonl: give it a name of its own.")]
    [InlineData("no/run.csv", "The folder of the CSV does not exist: create it first.")]
    [InlineData("images", "The CSV is a folder: give a file.")]
    public async Task A_csv_that_cannot_be_is_refused_before_the_work(string csv, string message)
    {
        int asked = 0;
        var e = await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync(_job.Options with { Csv = _job.Folder.File(csv) }, (_, _) => Task.FromResult(asked++)));

        Assert.Equal((message, 0, false), (e.Message, asked, File.Exists(_job.Output)));
    }

    [Fact]
    public void Sampling_without_a_seed_is_refused() =>
        Assert.Throws<ArgumentException>(() => new CaptionJob(new Samples.FakeCaptioner(), _job.Dataset, _job.Options with { Caption = new() { Temperature = 1 } }));

    [Fact]
    public async Task Progress_tells_where_the_job_is()
    {
        var told = new List<CaptionJobProgress>();
        await _job.RunAsync(_job.Options with { Shard = DatasetShard.Whole, ProgressInterval = TimeSpan.Zero }, progress: new Reporter(told.Add));

        Assert.Equal(0, told[0].Captioned);
        Assert.Equal((12, 12, 12, TimeSpan.Zero), (told[^1].Captioned, told[^1].Total, told[^1].CaptionedNow, told[^1].Remaining));
        Assert.All(told, progress => Assert.InRange(progress.MemoryBytes, 1, long.MaxValue));
        Assert.True(told.Select(progress => progress.Captioned).SequenceEqual(told.Select(progress => progress.Captioned).Order()));
    }

    sealed class Reporter(Action<CaptionJobProgress> report) : IProgress<CaptionJobProgress>
    {
        public void Report(CaptionJobProgress value) => report(value);
    }
}
