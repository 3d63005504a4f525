using System.Runtime.Versioning;
using System.Text.Json.Nodes;
using MedVlm.Datasets;

namespace MedVlm.Tests.Datasets;

/// <summary>Shards are put together only if they make a whole.</summary>
public sealed class CaptionMergeTests : IDisposable
{
    readonly JobFixture _job = new(30);

    public void Dispose() => _job.Dispose();

    string Shard(int index) => _job.Folder.File($"shard{index}.jsonl");

    string Merged => _job.Folder.File("all.jsonl");

    async Task RunShardsAsync(int count, Func<CaptionRequest, CancellationToken, Task>? before = null)
    {
        for (int i = 0; i < count; i++)
            await _job.RunAsync(new() { Output = Shard(i), Shard = new(i, count), Retry = new() { MaxAttempts = 1 } }, before);
    }

    Task<CaptionJobReport> MergeAsync(int[] shards, bool dataset = true, bool allowMissing = false) => CaptionJob.MergeAsync(
        [.. shards.Select(Shard)],
        new() { Output = Merged, Csv = _job.Folder.File("all.csv"), Dataset = dataset ? _job.Dataset : null, AllowMissing = allowMissing }, TestContext.Current.CancellationToken);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Makes_the_whole_of_its_parts(bool dataset)
    {
        await RunShardsAsync(3);

        var report = await MergeAsync([2, 0, 1], dataset);

        Assert.Equal((30, 30), (report.Total, report.Captioned));
        Assert.Equal(_job.Ids.ToHashSet(), JobFixture.Lines(Merged).Keys.ToHashSet());
        Assert.Equal(31, File.ReadAllLines(_job.Folder.File("all.csv")).Length);

        // The whole is a job of its own: it is complete.
        Assert.Equal(0, (await _job.RunAsync(new() { Output = Merged })).CaptionedNow);
    }

    [Theory]
    [InlineData(new[] { 0, 2 }, "1 of 3 shards are missing: 1.")]
    [InlineData(new[] { 0, 1, 1, 2 }, "Shard 1/3 is there twice: shard1.jsonl and shard1.jsonl.")]
    public async Task Every_shard_is_there_once(int[] shards, string message)
    {
        await RunShardsAsync(3);

        Assert.Equal(message, (await Assert.ThrowsAsync<CaptionMergeException>(() => MergeAsync(shards))).Message);
        Assert.False(File.Exists(Merged));
    }

    [Fact]
    public async Task Ids_without_a_caption_are_named_and_may_be_allowed()
    {
        await RunShardsAsync(3, (request, _) => request.Id == _job.Ids[7] ? throw new IOException("away") : Task.CompletedTask);

        var e = await Assert.ThrowsAsync<CaptionMergeException>(() => MergeAsync([0, 1, 2]));
        Assert.Equal((1, _job.Ids[7]), (e.MissingCount, Assert.Single(e.MissingIds)));
        Assert.Equal(
            $"The shards make no whole: 1 of 30 ids have no caption: {_job.Ids[7]} (see the shards' .failed.jsonl; run the shards again, or allow it).", e.Message);
        Assert.Equal(1, (await Assert.ThrowsAsync<CaptionMergeException>(() => MergeAsync([0, 1, 2], dataset: false))).MissingCount);

        var report = await MergeAsync([0, 1, 2], allowMissing: true);
        Assert.Equal((29, _job.Ids[7]), (report.Captioned, Assert.Single(report.Failures).Id));
        Assert.Equal(_job.Ids[7], Assert.Single(JobFixture.Lines(report.FailuresFile!)).Key);

        // It would lack an id.
        Assert.Equal((null, false), (report.Csv, File.Exists(_job.Folder.File("all.csv"))));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_shard_that_never_ran_to_its_end_is_not_allowed(bool killed)
    {
        await RunShardsAsync(2);
        using var stop = new CancellationTokenSource();
        int asked = 0;
        foreach (var file in (string[])["shard1.jsonl", "shard1.provenance.json"])
            File.Delete(_job.Folder.File(file));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _job.RunAsync(
            new() { Output = Shard(1), Shard = new(1, 2) }, (_, _) => asked++ < 3 ? Task.CompletedTask : stop.CancelAsync(), cancellationToken: stop.Token));
        var path = _job.Folder.File("shard1.provenance.json");
        if (killed)
        {
            var json = JsonNode.Parse(File.ReadAllText(path))!;
            json["runs"]![0]!.AsObject().Remove("outcome");
            File.WriteAllText(path, json.ToJsonString());
        }
        int missing = 30 - File.ReadAllLines(Shard(0)).Length - File.ReadAllLines(Shard(1)).Length;

        var e = await Assert.ThrowsAsync<CaptionMergeException>(() => MergeAsync([0, 1], dataset: false, allowMissing: true));

        Assert.Equal(
            $"The shards make no whole: {missing} of 30 ids have no caption, which is allowed for images that have failed, but not every shard has run to its end "
            + "(run these on: shard1.jsonl, shard 1/2).", e.Message);
        Assert.Equal((missing, false), (e.MissingCount, File.Exists(Merged)));

        await _job.RunAsync(new() { Output = Shard(1), Shard = new(1, 2) });
        Assert.Equal(30, (await MergeAsync([0, 1], allowMissing: true)).Captioned);
    }

    [Fact]
    public async Task Failures_are_merged_once_each_and_only_without_a_caption()
    {
        await RunShardsAsync(1, (request, _) => request.Id == _job.Ids[7] ? throw new IOException("away") : Task.CompletedTask);

        // Earlier attempts, one of an image that has its caption by now, and a stranger: what a shard's file may hold while it runs.
        var line = File.ReadAllText(_job.Folder.File("shard0.failed.jsonl"));
        File.WriteAllText(
            _job.Folder.File("shard0.failed.jsonl"),
            line.Replace("away", "earlier", StringComparison.Ordinal) + line.Replace(_job.Ids[7], _job.Ids[8], StringComparison.Ordinal)
            + line.Replace(_job.Ids[7], "stranger", StringComparison.Ordinal) + line);

        var report = await MergeAsync([0], allowMissing: true);

        Assert.Equal(new CaptionJobFailure(_job.Ids[7], "IOException", "away", 1), Assert.Single(report.Failures));
        Assert.Equal(line, File.ReadAllText(report.FailuresFile!));
    }

    [Fact]
    public async Task Files_of_failures_among_the_shards_are_passed_over()
    {
        await RunShardsAsync(2, (request, _) => request.Id == _job.Ids[7] ? throw new IOException("away") : Task.CompletedTask);
        var files = Directory.GetFiles(_job.Folder.Path, "shard*.jsonl");
        Assert.Equal(3, files.Length);

        var report = await CaptionJob.MergeAsync(files, new() { Output = Merged, AllowMissing = true }, TestContext.Current.CancellationToken);
        var e = await Assert.ThrowsAsync<CaptionJobException>(() => CaptionJob.MergeAsync(
            [.. files.Where(file => file.EndsWith(".failed.jsonl", StringComparison.Ordinal))], new() { Output = Merged }, TestContext.Current.CancellationToken));

        Assert.Equal((29, 1), (report.Captioned, report.Failed));
        Assert.Equal("The output is a file of JSON lines: give it a name that ends in .jsonl, such as captions.jsonl.", e.Message);
    }

    [Fact]
    public async Task A_shard_that_is_being_written_is_not_read_but_one_that_is_being_read_is()
    {
        await RunShardsAsync(2);
        using (new JobFiles(Shard(1)).TakeLock())
            Assert.Equal(
                "shard1.jsonl is being written by another process. Wait for it, or give each its own output (and shard).",
                (await Assert.ThrowsAsync<CaptionJobException>(() => MergeAsync([0, 1]))).Message);

        using (new JobFiles(Shard(1)).TakeReadLock())
        {
            Assert.Equal(30, (await MergeAsync([0, 1])).Captioned);
            await Assert.ThrowsAsync<CaptionJobException>(() => _job.RunAsync(new() { Output = Shard(1), Shard = new(1, 2), Retry = new() { MaxAttempts = 1 } }));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [UnsupportedOSPlatform("windows")]
    public async Task Shards_in_a_folder_that_cannot_be_written_are_merged(bool locks)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There a folder is not closed by a mode.");
        Assert.SkipWhen(Environment.IsPrivilegedProcess, "Nothing is closed to the privileged.");
        await RunShardsAsync(2);
        var folder = Directory.CreateDirectory(_job.Folder.File("share")).FullName;
        foreach (var file in Directory.GetFiles(_job.Folder.Path, "shard*").Where(file => locks || !file.EndsWith(".lock", StringComparison.Ordinal)))
        {
            File.Move(file, Path.Combine(folder, Path.GetFileName(file)));
            File.SetUnixFileMode(Path.Combine(folder, Path.GetFileName(file)), UnixFileMode.UserRead);
        }
        File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        try
        {
            var report = await CaptionJob.MergeAsync(
                [Path.Combine(folder, "shard0.jsonl"), Path.Combine(folder, "shard1.jsonl")], new() { Output = Merged }, TestContext.Current.CancellationToken);

            Assert.Equal(30, report.Captioned);
        }
        finally
        {
            File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    [Fact]
    public void Where_not_even_the_privileged_can_make_a_file_there_is_no_lock()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Linux has such a folder.");

        Assert.Null(new JobFiles("/proc/sys/captions.jsonl").TakeReadLock());
        Assert.StartsWith(
            "captions.lock cannot be opened. ", Assert.Throws<CaptionJobException>(() => new JobFiles("/proc/sys/captions.jsonl").TakeLock()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("all.jsonl", "The CSV would replace all.jsonl, a file of the job all.jsonl: give it a name of its own.")]
    [InlineData("shard1.provenance.json", "The CSV would replace shard1.provenance.json, a file of the job shard1.jsonl: give it a name of its own.")]
    [InlineData("no/all.csv", "The folder of the CSV does not exist: create it first.")]
    public async Task A_csv_that_cannot_be_is_refused(string csv, string message)
    {
        await RunShardsAsync(2);

        var e = await Assert.ThrowsAsync<CaptionJobException>(() => CaptionJob.MergeAsync(
            [Shard(0), Shard(1)], new() { Output = Merged, Csv = _job.Folder.File(csv) }, TestContext.Current.CancellationToken));

        Assert.Equal((message, false), (e.Message, File.Exists(Merged)));
    }

    [Fact]
    public async Task Lines_that_are_there_twice_or_belong_elsewhere_are_named()
    {
        await RunShardsAsync(3);
        var (own, other) = (File.ReadLines(Shard(0)).First(), File.ReadLines(Shard(1)).First());
        File.AppendAllText(Shard(0), $"{own}\n{other}\n{{\"id\":\"stranger\",\"caption\":\"\"}}\n");

        var e = await Assert.ThrowsAsync<CaptionMergeException>(() => MergeAsync([0, 1, 2]));

        Assert.Equal((0, 1, 2), (e.MissingCount, e.DuplicateCount, e.ForeignCount));
        Assert.Contains("stranger", e.ForeignIds);
        Assert.False(File.Exists(Merged));
    }

    [Fact]
    public async Task Without_the_data_set_a_wrong_id_is_noticed_all_the_same()
    {
        await RunShardsAsync(1);
        var lines = File.ReadAllLines(Shard(0));
        lines[0] = "{\"id\":\"stranger\",\"caption\":\"\"}";
        File.WriteAllText(Shard(0), string.Join('\n', lines) + "\n");

        Assert.Equal(
            "The shards make no whole: the ids are as many as the data set's, or more, but not the same.",
            (await Assert.ThrowsAsync<CaptionMergeException>(() => MergeAsync([0], dataset: false))).Message);
    }

    [Fact]
    public async Task Shards_of_different_kinds_are_not_mixed()
    {
        await RunShardsAsync(2);
        File.Delete(Shard(1));
        File.Delete(_job.Folder.File("shard1.provenance.json"));
        await _job.RunAsync(new() { Output = Shard(1), Shard = new(1, 2), Caption = new() { MaxNewTokens = 7 } });

        Assert.Equal(
            "options.max_new_tokens was 128, is 7", Assert.Single((await Assert.ThrowsAsync<CaptionJobChangedException>(() => MergeAsync([0, 1]))).Differences));
    }

    [Fact]
    public async Task Another_data_set_is_refused()
    {
        await RunShardsAsync(2);
        _job.Folder.Write("images/new.png", DatasetFiles.Png(1));

        Assert.Contains("another data set", (await Assert.ThrowsAsync<CaptionMergeException>(() => MergeAsync([0, 1]))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("index", 5)]
    [InlineData("count", 0)]
    [InlineData("count", 2_000_000_000)]
    public async Task Provenance_is_not_trusted(string key, int value)
    {
        await RunShardsAsync(1);
        var path = _job.Folder.File("shard0.provenance.json");
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        json["shard"]![key] = value;
        File.WriteAllText(path, json.ToJsonString());

        await Assert.ThrowsAsync<CaptionMergeException>(() => MergeAsync([0]));
    }
}
