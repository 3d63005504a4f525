using System.Diagnostics;
using MedVlm.ConsoleSample;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tests.Imaging;
using MedVlm.Tests.Samples;

namespace MedVlm.Tests.Datasets;

/// <summary>The console's batch and merge, on the TinyModel: bad inputs, shards, and the end of the process at any moment.</summary>
public sealed class ConsoleBatchTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    /// <summary>What the processes wrote.</summary>
    readonly System.Collections.Concurrent.ConcurrentQueue<string> _said = [];

    public void Dispose() => _folder.Dispose();

    string Images => _folder.File("images");

    string Output => _folder.File("captions.jsonl");

    [Fact]
    public async Task Of_ten_percent_bad_inputs_each_fails_by_itself()
    {
        // A kind of damage for every tenth image: cut short, text, nothing, a bomb (a PNG header of 60000 x 60000 pixels), and a header alone.
        var png = DatasetFiles.Png(5);
        var bomb = (byte[])png.Clone();
        foreach (int at in (int[])[16, 20])
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(bomb.AsSpan(at), 60_000);
        byte[][] bad = [SampleImages.All["JPEG"][..^(SampleImages.All["JPEG"].Length * 3 / 4)], "not an image"u8.ToArray(), [], bomb, png[..30]];
        for (int i = 0; i < 50; i++)
            _folder.Write($"images/{i:D2}.png", i % 10 == 3 ? bad[i / 10] : DatasetFiles.Png(i));

        var run = await ConsoleRun.Of("batch", Images, "-o", Output, "--csv", _folder.File("run.csv"), "--max-new-tokens", "4");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("45 of 50 images have a caption, 5 failed", run.Out, StringComparison.Ordinal);
        Assert.Contains("--retry-failed tries them again.", run.Out, StringComparison.Ordinal);
        Assert.Contains("The CSV was not written", run.Out, StringComparison.Ordinal);
        Assert.Equal(45, JobFixture.Lines(Output).Count);
        var failed = JobFixture.Lines(_folder.File("captions.failed.jsonl"));
        Assert.Equal(["03.png", "13.png", "23.png", "33.png", "43.png"], failed.Keys.Order());
        Assert.All(failed.Values, line => Assert.Equal("ImageException", line.GetProperty("error").GetString()));
        Assert.Contains("45 of 50 (90 %), 5 failed", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Shards_are_run_and_merged()
    {
        for (int i = 0; i < 10; i++)
            _folder.Write($"images/{i}.png", DatasetFiles.Png(i));
        for (int i = 0; i < 2; i++)
            Assert.Equal(0, (await ConsoleRun.Of("batch", Images, "-o", _folder.File($"s{i}.jsonl"), "--shard", $"{i}/2", "--max-new-tokens", "2")).ExitCode);

        var missing = await ConsoleRun.Of("merge", _folder.File("s0.jsonl"), "-o", Output);
        var merged = await ConsoleRun.Of("merge", _folder.File("s0.jsonl"), _folder.File("s1.jsonl"), "-o", Output, "--csv", _folder.File("run.csv"), "--dataset", Images);

        Assert.Equal((2, 0), (missing.ExitCode, merged.ExitCode));
        Assert.Contains("1 of 2 shards are missing: 1.", missing.Error, StringComparison.Ordinal);
        Assert.Equal(11, File.ReadAllLines(_folder.File("run.csv")).Length);
    }

    [Fact]
    public async Task A_merge_with_failures_says_what_is_missing()
    {
        for (int i = 0; i < 4; i++)
            _folder.Write($"images/{i}.png", i == 2 ? "no image"u8.ToArray() : DatasetFiles.Png(i));
        Assert.Equal(1, (await ConsoleRun.Of("batch", Images, "-o", _folder.File("s0.jsonl"), "--max-new-tokens", "2")).ExitCode);

        var merged = await ConsoleRun.Of(
            "merge", _folder.File("s0.jsonl"), _folder.File("s0.failed.jsonl"), "-o", Output, "--csv", _folder.File("run.csv"), "--allow-missing");

        Assert.Equal(1, merged.ExitCode);
        Assert.Contains("3 of 4 images have a caption, 1 failed", merged.Out, StringComparison.Ordinal);
        Assert.Contains("The failures are in ", merged.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("--retry-failed", merged.Out, StringComparison.Ordinal);
        Assert.Contains("The CSV was not written: it is to have a caption for every image.", merged.Out, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("run.csv")));
    }

    [Fact]
    public async Task A_finished_job_with_a_damaged_image_ends_the_same_way_when_it_is_started_again()
    {
        for (int i = 0; i < 3; i++)
            _folder.Write($"images/{i}.png", i == 2 ? "no image"u8.ToArray() : DatasetFiles.Png(i));

        var first = await ConsoleRun.Of("batch", Images, "-o", Output, "--max-new-tokens", "2");
        var captions = File.ReadAllBytes(Output);
        var second = await ConsoleRun.Of("batch", Images, "-o", Output, "--max-new-tokens", "2");

        // The recipes of docs/jobs.md count this code as done.
        Assert.Equal((1, 1), (first.ExitCode, second.ExitCode));
        Assert.Contains("2 captioned in ", first.Out, StringComparison.Ordinal);
        Assert.DoesNotContain(" captioned in ", second.Out, StringComparison.Ordinal);
        Assert.Contains("2 of 3 images have a caption, 1 failed", second.Out, StringComparison.Ordinal);
        Assert.Equal(captions, File.ReadAllBytes(Output));
    }

    [Fact]
    public async Task A_file_that_may_not_be_changed_is_a_message_and_no_crash()
    {
        _folder.Write("images/0.png", DatasetFiles.Png(1));
        Assert.Equal(0, (await ConsoleRun.Of("batch", Images, "-o", _folder.File("s0.jsonl"), "--max-new-tokens", "2")).ExitCode);

        // A folder where a file belongs: the system denies access to it, whoever runs this.
        Directory.CreateDirectory(_folder.File("captions.failed.jsonl"));
        var run = await ConsoleRun.Of("merge", _folder.File("s0.jsonl"), "-o", Output);

        Assert.Equal(2, run.ExitCode);
        Assert.Contains("captions.failed.jsonl", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("batch||-o|x.jsonl", "See --help.")]
    [InlineData("batch|{images}|-o|", "See --help.")]
    [InlineData("batch|{images}|-o|{images}/x.jsonl|--csv|{images}/no/x.csv", "The folder of the CSV does not exist")]
    [InlineData("batch|{images}|-o|{images}/x.jsonl|--csv|{images}/x.lock", "The CSV would replace x.lock")]
    [InlineData("batch|{images}", "--output")]
    [InlineData("batch|/no/such|-o|x.jsonl", "There is no file or folder")]
    [InlineData("batch|{images}|-o|x.jsonl|--shard|2/2", "--shard: 2/2: there is no shard 2 of 2.")]
    [InlineData("batch|{images}|-o|x.csv", "ends in .jsonl")]
    [InlineData("batch|{images}|-o|x.jsonl|--retries|15", "--retries is 0 to 14.")]
    [InlineData("merge|/no/such.jsonl|-o|x.jsonl", "does not exist")]
    public async Task Says_what_is_wrong(string commandLine, string message)
    {
        _folder.Write("images/a.png", DatasetFiles.Png(1));
        var run = await ConsoleRun.Of(commandLine.Replace("{images}", Images, StringComparison.Ordinal).Split('|'));

        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Killed_at_random_moments_it_goes_on_and_writes_what_an_uninterrupted_run_writes()
    {
        const int count = 120, kills = 3;
        for (int i = 0; i < count; i++)
            _folder.Write($"images/{i:D3}.png", DatasetFiles.Png(i));
        var reference = _folder.File("reference.jsonl");
        Assert.Equal(0, (await ConsoleRun.Of("batch", Images, "-o", reference, "--max-new-tokens", "6")).ExitCode);

        var random = new Random(7);
        for (int kill = 1; kill <= kills; kill++)
        {
            using var process = Start();
            long until = File.Exists(Output) ? new FileInfo(Output).Length : 0;

            // Once it has written some more, at any byte of the next lines.
            while (!process.HasExited && (!File.Exists(Output) || new FileInfo(Output).Length <= until + 300 * kill))
                await Task.Delay(1, TestContext.Current.CancellationToken);
            await Task.Delay(random.Next(30), TestContext.Current.CancellationToken);
            if (kill == 2 && !OperatingSystem.IsWindows())
            {
                // Ctrl+C for once: a clean end, which says how to go on.
                using (var interrupt = Process.Start("kill", ["-INT", process.Id.ToString()]))
                    await interrupt.WaitForExitAsync(TestContext.Current.CancellationToken);
                await process.WaitForExitAsync(TestContext.Current.CancellationToken);
                Assert.Equal(130, process.ExitCode);
                Assert.Contains("same command goes on from there", string.Join(' ', _said), StringComparison.Ordinal);
                continue;
            }
            process.Kill();   // SIGKILL: nothing of it runs any more
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        using (var last = Start())
        {
            await last.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, last.ExitCode);
        }

        Assert.Equal(count, File.ReadAllLines(Output).Length);
        Assert.Equal(Captions(reference), Captions(Output));

        static Dictionary<string, string?> Captions(string path) => JobFixture.Lines(path).ToDictionary(line => line.Key, line => line.Value.GetProperty("caption").GetString());
    }

    Process Start()
    {
        var process = Process.Start(new ProcessStartInfo(
            Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet",
            [typeof(ConsoleApp).Assembly.Location, "batch", Images, "-o", Output, "--max-new-tokens", "6"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        process.OutputDataReceived += (_, line) => _said.Enqueue(line.Data ?? "");
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }
}
