using System.Diagnostics;
using System.Text.Json;
using MedVlm.HostedServiceSample;
using MedVlm.Tests.Checkpoints;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace MedVlm.Tests.Samples;

/// <summary>The hosted service sample: nothing is lost, and nothing is captioned twice.</summary>
public sealed class InboxTests : IDisposable
{
    static readonly byte[] s_image = File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, "06-hand-xray.tiff"));
    static readonly byte[] s_other = File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, "07-head-ct.png"));

    readonly TemporaryFolder _folder = new();
    readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public InboxTests() => Directory.CreateDirectory(_folder.File("in"));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Captions_an_image_and_moves_it()
    {
        _folder.Write("in/Rö 胸部.tiff", s_image);
        var inbox = NewInbox();

        Assert.Equal(1, await RunAsync(inbox));

        Assert.Equal(["in/done/Rö 胸部.tiff", "out/Rö 胸部.tiff.json"], Files());
        var caption = Read("out/Rö 胸部.tiff.json");
        Assert.Equal("Rö 胸部.tiff", caption.GetProperty("id").GetString());
        Assert.Equal("Caption of Rö 胸部.tiff", caption.GetProperty("text").GetString());
        Assert.Equal("2026-01-02T03:04:05+00:00", caption.GetProperty("written_at").GetString());
        Assert.Equal("end_of_sequence", caption.GetProperty("finish_reason").GetString());
        Assert.Equal(64, caption.GetProperty("sha256").GetString()!.Length);
    }

    [Fact]
    public async Task Deletes_a_captioned_image_if_asked()
    {
        _folder.Write("in/x.tiff", s_image);

        await RunAsync(NewInbox(new() { WhenDone = WhenDone.Delete }));

        Assert.Equal(["out/x.tiff.json"], Files());
    }

    [Fact]
    public async Task Keeps_equal_names_apart_and_leaves_other_files_alone()
    {
        foreach (var name in (string[])["x.tiff", "a/x.tiff", "a/b/x.tiff", "x.png"])
            _folder.Write("in/" + name, name == "x.png" ? s_other : s_image);
        foreach (var name in (string[])["notes.txt", ".hidden.png", "x.png.part"])
            _folder.Write("in/" + name, "not ours");

        Assert.Equal(4, await RunAsync(NewInbox()));

        Assert.Equal(
            [
                "in/.hidden.png", "in/done/a/b/x.tiff", "in/done/a/x.tiff", "in/done/x.png", "in/done/x.tiff", "in/notes.txt", "in/x.png.part",
                "out/a/b/x.tiff.json", "out/a/x.tiff.json", "out/x.png.json", "out/x.tiff.json",
            ],
            Files());
    }

    [Fact]
    public async Task Puts_bad_files_aside_with_the_reason()
    {
        _folder.Write("in/a/bad.png", "no image");
        _folder.Write("in/empty.png", []);
        _folder.Write("in/good.tiff", s_image);
        _folder.Write("in/half.tiff", s_image[..(s_image.Length / 2)]);
        _folder.Write("in/large.png", new byte[200_000]);

        await RunAsync(NewInbox(maxBytes: 150_000));

        Assert.Equal(
            [
                "in/done/good.tiff",
                "in/failed/a/bad.png", "in/failed/a/bad.png.error.json", "in/failed/empty.png", "in/failed/empty.png.error.json",
                "in/failed/half.tiff", "in/failed/half.tiff.error.json", "in/failed/large.png", "in/failed/large.png.error.json",
                "out/good.tiff.json",
            ],
            Files());
        Assert.Contains("image format", Read("in/failed/a/bad.png.error.json").GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Equal("The file has 200000 bytes, MedVlm:ImageLimits:MaxBytes allows 150000.", Read("in/failed/large.png.error.json").GetProperty("error").GetString());
    }

    [Fact]
    public async Task Waits_until_a_copy_is_complete()
    {
        var inbox = NewInbox();
        _folder.Write("in/x.tiff", s_image[..1000]);
        Assert.Empty(await TakeAsync(inbox));

        using (var copying = new FileStream(_folder.File("in/x.tiff"), FileMode.Append, FileAccess.Write, FileShare.Read))
        {
            copying.Write(s_image.AsSpan(1000));
            copying.Flush();
            Assert.Empty(await TakeAsync(inbox));   // it has grown
            Assert.Empty(await TakeAsync(inbox));   // it has not, but somebody has it open
        }

        // Closing it may have touched its time: then one look more.
        Assert.Equal(1, await PassAsync(inbox) + await PassAsync(inbox));
        Assert.Equal(["in/done/x.tiff", "out/x.tiff.json"], Files());
    }

    [Fact]
    public async Task Recognises_after_a_crash_what_was_captioned_but_not_moved()
    {
        _folder.Write("in/x.tiff", s_image);
        await RunAsync(NewInbox());
        File.Move(_folder.File("in/done/x.tiff"), _folder.File("in/x.tiff"));   // as if the process had ended before the move
        var written = File.ReadAllBytes(_folder.File("out/x.tiff.json"));

        Assert.Equal(0, await RunAsync(NewInbox()));

        Assert.Equal(["in/done/x.tiff", "out/x.tiff.json"], Files());
        Assert.Equal(written, File.ReadAllBytes(_folder.File("out/x.tiff.json")));
    }

    [Fact]
    public async Task Starts_over_after_a_crash_while_the_caption_was_written()
    {
        _folder.Write("in/x.tiff", s_image);
        _folder.Write("out/x.tiff.json.tmp", """{ "id": "x.ti""");

        Assert.Equal(1, await RunAsync(NewInbox()));

        Assert.Equal(["in/done/x.tiff", "out/x.tiff.json"], Files());
    }

    [Fact]
    public async Task Tries_again_after_a_crash_while_a_bad_file_was_put_aside()
    {
        _folder.Write("in/bad.png", "no image");
        _folder.Write("in/failed/bad.png.error.json", "{}");

        await RunAsync(NewInbox());

        Assert.Equal(["in/failed/bad.png", "in/failed/bad.png.error.json"], Files());
        Assert.Equal("bad.png", Read("in/failed/bad.png.error.json").GetProperty("id").GetString());
    }

    [Fact]
    public async Task Gives_another_image_by_a_known_name_a_number()
    {
        var inbox = NewInbox();
        _folder.Write("in/x.tiff", s_image);
        await RunAsync(inbox);
        _folder.Write("in/x.tiff", s_other);
        await RunAsync(inbox);

        Assert.Equal(["in/done/x (2).tiff", "in/done/x.tiff", "out/x (2).tiff.json", "out/x.tiff.json"], Files());

        // Somebody has collected the captions: what is done is still never overwritten.
        Directory.Delete(_folder.File("out"), recursive: true);
        _folder.Write("in/x.tiff", s_image);
        await RunAsync(inbox);

        Assert.Equal(["in/done/x (2).tiff", "in/done/x (3).tiff", "in/done/x.tiff", "out/x.tiff.json"], Files());
    }

    [Fact]
    public async Task Two_images_in_work_never_get_one_caption_file()
    {
        var inbox = NewInbox();
        _folder.Write("in/x.tiff", s_image);
        await RunAsync(inbox);

        // The caption of "x.tiff" comes to "x (2).tiff.json", unless it is that of "x (2).tiff", which has it by its name.
        _folder.Write("in/x.tiff", s_other);
        _folder.Write("in/x (2).tiff", [.. s_image, 1]);
        Assert.Equal(2, await RunAsync(inbox, Together(2)));

        Assert.Equal(
            ["in/done/x (2).tiff", "in/done/x (3).tiff", "in/done/x.tiff", "out/x (2).tiff.json", "out/x (3).tiff.json", "out/x.tiff.json"], Files());
        Assert.Equal(3, Directory.GetFiles(_folder.File("out")).Select(file => Read(file).GetProperty("sha256").GetString()).Distinct().Count());
        Assert.Equal("x (2).tiff", Read("out/x (2).tiff.json").GetProperty("id").GetString());
    }

    [Fact]
    public async Task Two_names_that_are_cut_to_one_get_two_caption_files()
    {
        var start = new string('ö', 110);   // 220 bytes
        _folder.Write($"in/{start}1.tiff", s_image);
        _folder.Write($"in/{start}2.tiff", s_other);

        Assert.Equal(2, await RunAsync(NewInbox(), Together(2)));

        Assert.Equal(
            [$"{start}1.tiff", $"{start}2.tiff"], Directory.GetFiles(_folder.File("out")).Select(file => Read(file).GetProperty("id").GetString()).Order(StringComparer.Ordinal));
        Assert.Equal(2, Directory.GetFiles(_folder.File("in/done")).Length);
    }

    [Fact]
    public async Task A_file_that_has_come_into_the_outbox_meanwhile_is_not_replaced()
    {
        _folder.Write("in/x.tiff", s_image);

        await RunAsync(NewInbox(), new FakeCaptioner((_, _) =>
        {
            _folder.Write("out/x.tiff.json", "somebody else's");
            return Task.CompletedTask;
        }));

        Assert.Equal(["in/done/x (2).tiff", "out/x (2).tiff.json", "out/x.tiff.json"], Files());
        Assert.Equal("somebody else's", File.ReadAllText(_folder.File("out/x.tiff.json")));
    }

    [Fact]
    public async Task A_named_pipe_is_put_aside()
    {
        _folder.MakePipe("in/a.jpg");
        _folder.Write("in/b.tiff", s_image);

        // On a thread of its own, for opening a pipe blocks.
        Assert.Equal(1, await Task.Run(() => RunAsync(NewInbox())).WaitAsync(TimeSpan.FromSeconds(30), Cancelled));

        Assert.Equal(["in/done/b.tiff", "in/failed/a.jpg", "in/failed/a.jpg.error.json", "out/b.tiff.json"], Files());
        Assert.Equal("It is no file, but a pipe or a device.", Read("in/failed/a.jpg.error.json").GetProperty("error").GetString());
    }

    [Fact]
    public async Task Drops_the_caption_of_an_image_that_was_replaced_meanwhile()
    {
        var inbox = NewInbox();
        _folder.Write("in/x.tiff", s_image);
        var captioner = new FakeCaptioner((_, _) =>
        {
            if (new FileInfo(_folder.File("in/x.tiff")).Length == s_image.Length)
                _folder.Write("in/x.tiff", s_other);
            return Task.CompletedTask;
        });

        Assert.Equal(1, await RunAsync(inbox, captioner));
        Assert.Equal(["in/x.tiff"], Files());
        Assert.Equal(1, await RunAsync(inbox, captioner));

        Assert.Equal(["in/done/x.tiff", "out/x.tiff.json"], Files());
        Assert.Equal(s_other, File.ReadAllBytes(_folder.File("in/done/x.tiff")));
    }

    [Fact]
    public async Task Tries_a_failure_that_may_pass_again_and_gives_up_at_last()
    {
        _folder.Write("in/x.tiff", s_image);
        var inbox = NewInbox(new() { MaxAttempts = 3 });
        var captioner = new FakeCaptioner((_, _) => throw new InvalidOperationException("out of memory"));

        await RunAsync(inbox, captioner);
        Assert.Equal(["in/x.tiff"], Files());
        await PassAsync(inbox, captioner);
        Assert.Equal(["in/x.tiff"], Files());
        await PassAsync(inbox, captioner);

        Assert.Equal(["in/failed/x.tiff", "in/failed/x.tiff.error.json"], Files());
    }

    [Theory]
    [InlineData(typeof(CheckpointException))]
    [InlineData(typeof(ModelNotFoundException))]
    [InlineData(typeof(UnsupportedModelException))]
    [InlineData(typeof(NativeRuntimeException))]
    public Task A_model_that_cannot_run_is_not_the_images_fault(Type error) => StopsAtOnceAsync((MedVlmException)Activator.CreateInstance(error, "It cannot run.", null)!);

    [Fact]
    public async Task Nor_is_a_model_that_does_not_fit_into_memory()
    {
        var plan = await MedicalCaptioner.PlanAsync(new MedicalCaptionerOptions().UseTinyModel(), null, Cancelled);

        await StopsAtOnceAsync(new InsufficientMemoryException("It does not fit.", plan));
    }

    async Task StopsAtOnceAsync(MedVlmException error)
    {
        _folder.Write("in/x.tiff", s_image);

        Assert.Same(error, await Assert.ThrowsAnyAsync<MedVlmException>(() => RunAsync(NewInbox(), new FakeCaptioner((_, _) => throw error))));

        Assert.Equal(["in/x.tiff"], Files());
    }

    [Fact]
    public async Task An_image_too_large_for_memory_stops_nobody_else()
    {
        foreach (var (i, name) in ((string[])["a.tiff", "b.tiff", "c.tiff"]).Index())
            _folder.Write("in/" + name, [.. s_image, (byte)i]);
        var inbox = NewInbox(new() { MaxAttempts = 3 });
        var captioner = new FakeCaptioner(
            (request, _) => request.Id == "b.tiff" ? throw new InsufficientMemoryException("Not enough memory for the vision of a caption.") : Task.CompletedTask);

        Assert.Equal(3, await RunAsync(inbox, captioner));
        Assert.Equal(["in/b.tiff", "in/done/a.tiff", "in/done/c.tiff", "out/a.tiff.json", "out/c.tiff.json"], Files());
        Assert.Equal((1, 1, 0), (await PassAsync(inbox, captioner), await PassAsync(inbox, captioner), await PassAsync(inbox, captioner)));

        Assert.Equal(["in/done/a.tiff", "in/done/c.tiff", "in/failed/b.tiff", "in/failed/b.tiff.error.json", "out/a.tiff.json", "out/c.tiff.json"], Files());
        Assert.Equal("Not enough memory for the vision of a caption.", Read("in/failed/b.tiff.error.json").GetProperty("error").GetString());
    }

    [Theory]
    [InlineData("ffff", true)]
    [InlineData("ffcffcffc", false)]
    [InlineData("fdfdf", true)]   // a damaged image says nothing of the model
    public async Task One_failure_after_another_is_the_models(string outcomes, bool stops)
    {
        foreach (var (i, outcome) in outcomes.Index())
            _folder.Write($"in/{i}.tiff", outcome == 'd' ? [(byte)i] : [.. s_image, (byte)i]);
        var run = RunAsync(
            NewInbox(new() { MaxAttempts = 2, MaxFailuresInARow = 3 }),
            new FakeCaptioner((request, _) => outcomes[request.Id[0] - '0'] == 'f' ? throw new MedVlmException("The engine of a caption failed in ONNX Runtime.") : Task.CompletedTask));

        if (stops)
            Assert.Equal("The engine of a caption failed in ONNX Runtime.", (await Assert.ThrowsAsync<MedVlmException>(() => run)).Message);
        else
            await run;

        Assert.Equal(outcomes.Count(outcome => outcome == 'f'), Directory.GetFiles(_folder.File("in"), "*.tiff").Length);
    }

    [Fact]
    public async Task An_outbox_that_cannot_be_written_keeps_the_image_in_the_inbox()
    {
        _folder.Write("in/x.tiff", s_image);
        _folder.Write("out", "a file where the folder should be");

        var running = RunAsync(NewInbox(new() { MaxAttempts = 2 }));
        while (!running.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(5, Cancelled);
        }

        await Assert.ThrowsAnyAsync<IOException>(() => running);
        Assert.Equal(["in/x.tiff", "out"], Files());
    }

    [Fact]
    public async Task Cuts_a_name_that_leaves_no_room_for_an_ending()
    {
        var name = new string('ö', 125) + ".tiff";   // 255 bytes, the most that file systems take
        _folder.Write("in/" + name, s_image);

        Assert.Equal(1, await RunAsync(NewInbox()));

        var file = Assert.Single(Directory.GetFiles(_folder.File("out")));
        Assert.Equal(name, Read(file).GetProperty("id").GetString());
        Assert.Single(Directory.GetFiles(_folder.File("in/done")));
    }

    [Fact]
    public async Task Loses_nothing_when_it_is_stopped_again_and_again()
    {
        // 200 images, each of its own content.
        for (int i = 0; i < 200; i++)
            _folder.Write($"in/{i % 7}/{i:D3}.tiff", [.. s_image, (byte)i]);

        int captioned = 0;
        for (int run = 0; Directory.GetFiles(_folder.File("in"), "*.tiff", SearchOption.AllDirectories).Any(path => !path.Contains("done")); run++)
        {
            Assert.InRange(run, 0, 30);
            var captioner = new FakeCaptioner((_, cancellationToken) => Task.Delay(1, cancellationToken));
            await HostAsync(captioner, until: () => captioner.Captioned >= 37);
            captioned += captioner.Captioned;
        }

        Assert.Equal(200, Directory.GetFiles(_folder.File("out"), "*.json", SearchOption.AllDirectories).Length);
        Assert.Equal(200, Directory.GetFiles(_folder.File("in/done"), "*.tiff", SearchOption.AllDirectories).Length);
        Assert.Empty(Directory.GetFiles(_folder.Path, "*.tmp", SearchOption.AllDirectories));
        Assert.InRange(captioned, 200, 200 + 30 * 4);   // more only where a stop threw away what was under way
    }

    [Fact]
    public async Task Captions_with_the_TinyModel_from_end_to_end()
    {
        _folder.Write("in/Rö 胸部.tiff", s_image);
        _folder.Write("in/bad.png", "no image");
        var builder = NewHost();
        builder.Services.AddMedicalCaptioner().UseTinyModel();
        using var host = builder.Build();

        await host.StartAsync(Cancelled);
        await AdvanceAsync(() => File.Exists(_folder.File("in/done/Rö 胸部.tiff")) && File.Exists(_folder.File("in/failed/bad.png")));
        await host.StopAsync(Cancelled);

        Assert.Equal("Frontal radiograph of the hand.", Read("out/Rö 胸部.tiff.json").GetProperty("text").GetString());
    }

    [Theory]
    [InlineData("in", "in", "lie one in the other")]
    [InlineData("in", "in/out", "lie one in the other")]
    [InlineData("in/x", "in", "lie one in the other")]
    [InlineData("", "out", "Folder")]
    public void Refuses_folders_that_lie_one_in_the_other(string folder, string outbox, string message)
    {
        var result = new InboxOptionsValidator().Validate(null, new InboxOptions { Folder = folder, Outbox = outbox });

        Assert.Contains(message, result.FailureMessage, StringComparison.Ordinal);
        Assert.True(new InboxOptionsValidator().Validate(null, new InboxOptions { Folder = "in", Outbox = "inner" }).Succeeded);
    }

    Inbox NewInbox(InboxOptions? options = null, int maxBytes = 1 << 28) => new(
        Options.Create((options ?? new()) with { Folder = _folder.File("in"), Outbox = _folder.File("out") }),
        Options.Create(new MedicalCaptionerOptions { ImageLimits = new() { MaxBytes = maxBytes } }), _time, NullLogger<Inbox>.Instance);

    /// <summary>Two looks into the inbox, so that images that are there are taken, and captions for them.</summary>
    /// <returns>How many requests there were.</returns>
    static async Task<int> RunAsync(Inbox inbox, FakeCaptioner? captioner = null)
    {
        Assert.Empty(await TakeAsync(inbox));
        return await PassAsync(inbox, captioner);
    }

    /// <summary>One look, and captions for what it gives.</summary>
    static async Task<int> PassAsync(Inbox inbox, FakeCaptioner? captioner = null)
    {
        int count = 0;
        await foreach (var result in (captioner ?? new()).CaptionBatchAsync(inbox.PollAsync(Cancelled), Cancelled))
        {
            count++;
            await inbox.CompleteAsync(result, Cancelled);
        }

        return count;
    }

    /// <summary>A captioner that has so many images in work before it finishes the first.</summary>
    static FakeCaptioner Together(int images)
    {
        var all = new TaskCompletionSource();
        return new FakeCaptioner((_, _) =>
        {
            if (Interlocked.Decrement(ref images) == 0)
                all.SetResult();
            return all.Task;
        });
    }

    static async Task<CaptionRequest[]> TakeAsync(Inbox inbox) => await inbox.PollAsync(Cancelled).ToArrayAsync(Cancelled);

    /// <summary>Runs the service until something has happened or all is done, and stops it in the middle of its work.</summary>
    async Task HostAsync(FakeCaptioner captioner, Func<bool> until)
    {
        var builder = NewHost();
        builder.Services.AddSingleton<IMedicalCaptioner>(captioner);
        using var host = builder.Build();
        await host.StartAsync(Cancelled);
        await AdvanceAsync(() => until() || !Directory.GetFiles(_folder.File("in"), "*.tiff", SearchOption.AllDirectories).Any(path => !path.Contains("done")));
        await host.StopAsync(Cancelled);
    }

    HostApplicationBuilder NewHost()
    {
        var builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection([new("Inbox:Folder", _folder.File("in")), new("Inbox:Outbox", _folder.File("out"))]);
        builder.Services.AddSingleton<TimeProvider>(_time);
        builder.Services.AddInbox();
        return builder;
    }

    /// <summary>Lets the service's time pass until something has happened.</summary>
    async Task AdvanceAsync(Func<bool> until)
    {
        var limit = Stopwatch.StartNew();
        while (!until())
        {
            Assert.True(limit.Elapsed < TimeSpan.FromSeconds(30), "Nothing has happened for 30 s.");
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(5, Cancelled);
        }
    }

    /// <summary>All files, in ordinal order.</summary>
    string[] Files() =>
        [.. Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(_folder.Path, path).Replace('\\', '/')).Order(StringComparer.Ordinal)];

    JsonElement Read(string name) => JsonDocument.Parse(File.ReadAllBytes(_folder.File(name))).RootElement;
}
