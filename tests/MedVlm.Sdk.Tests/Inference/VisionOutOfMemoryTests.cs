using System.Diagnostics.Metrics;
using MedVlm.Inference;
using MedVlm.Tests.Hosting;
using MedVlm.Tests.Models;
using MedVlm.Tests.Telemetry;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace MedVlm.Tests.Inference;

/// <summary>
/// Memory that does not suffice for the vision tower: smaller runs, then fewer slots, and no caption is lost or changed by it. Here an image in a
/// run takes as much as a slot of the cache, and tests say how many of both there is memory for.
/// </summary>
public sealed class VisionOutOfMemoryTests : IDisposable
{
    static readonly string[] s_images = [.. Directory.EnumerateFiles(TestFolders.Phantoms, "*.jpg").Order(StringComparer.Ordinal).Take(16)];

    static SortedDictionary<string, string>? s_undisturbed;

    static readonly TimeSpan s_long = TimeSpan.FromMinutes(1);

    readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    readonly TelemetryRecorder _telemetry;
    readonly LogRecorder _log = new();
    readonly ILoggerFactory _loggers;
    MedicalCaptioner? _captioner;

    public VisionOutOfMemoryTests()
    {
        var meters = _services.GetRequiredService<IMeterFactory>();
        _telemetry = new TelemetryRecorder(meter => meter.Scope == meters, "none");
        _loggers = LoggerFactory.Create(logging => logging.AddProvider(_log));
    }

    static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _telemetry.Dispose();
        _services.Dispose();
        _loggers.Dispose();
    }

    [Theory]
    [InlineData(false, 8, 5, new[] { 4 }), InlineData(true, 8, 5, new[] { 4 })]
    [InlineData(false, 8, 2, new[] { 4, 2, 1 }), InlineData(true, 8, 2, new[] { 4, 2, 1 })]
    [InlineData(false, 4, 1, new[] { 2, 1 }), InlineData(true, 4, 1, new[] { 2, 1 })]
    [InlineData(false, 1, 1, new int[0]), InlineData(true, 1, 1, new int[0])]
    public async Task Slots_are_halved_until_an_image_fits_beside_them_and_every_caption_is_what_it_was(bool ahead, int slots, int fits, int[] left)
    {
        var expected = await UndisturbedAsync();

        var actual = await CaptionAsync(slots, ahead, (stage, images) =>
        {
            if (stage == "vision" && images + _captioner?.Engine.CacheSlots > fits)
                throw new OutOfMemoryException("Tests have taken it.");
        });

        Assert.Equal(expected, actual);
        Assert.Equal(
            slots == 1 ? [] : left.Prepend(slots).Zip(left),
            _telemetry["medvlm.slots.reductions"].Select(one => ((int)one.Tags["medvlm.slots.before"]!, (int)one.Tags["medvlm.slots.after"]!)));
        Assert.Equal(
            left.Select(after => $" captions at once: from now on {after} are decoded together. "),
            _log.Entries.Where(entry => entry.Level == LogLevel.Warning && entry.Text.Contains("decoded together", StringComparison.Ordinal))
                .Select(entry => entry.Text[entry.Text.IndexOf(" captions at once", StringComparison.Ordinal)..]));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Smaller_runs_cost_no_slot(bool ahead)
    {
        var name = GoldenCase.Names().FirstOrDefault(name => name.StartsWith("smolvlm/", StringComparison.Ordinal));
        Assert.SkipWhen(name is null, "The goldens folder has no smolvlm.");
        var options = GoldenCase.Load(name!).ToOptions();
        (options.Slots, options.VisionCacheMiB) = (4, 0);

        // One tile each, where the plan counts on more: several images are joined.
        var requests = Enumerable.Range(0, 24).Select(Request).Select(request => request with
        {
            Options = request.Options! with { ImageDetail = new() { SplitIntoTiles = false } },
        }).ToList();
        var expected = await TokensAsync(null);
        bool joined = false;

        var actual = await TokensAsync((stage, images) =>
        {
            // The first run lasts until there are others to be joined.
            if (stage == "vision")
                SpinWait.SpinUntil(() => joined || _captioner!.Engine.QueueLength > 1, s_long);
            joined |= stage == "vision" && images > 1;
            if (stage == "vision" && images > 1)
                throw new OutOfMemoryException("Tests have taken it.");
        });

        Assert.Equal(expected, actual);
        Assert.Empty(_telemetry["medvlm.slots.reductions"]);
        var reductions = _telemetry["medvlm.vision_run.reductions"];
        Assert.NotEmpty(reductions);
        Assert.Equal(1, reductions[^1].Tags["medvlm.vision_run.after"]);
        Assert.Equal(reductions.Count, _log.Entries.Count(entry => entry.Level == LogLevel.Warning
            && entry.Text.Contains("images in one run of the vision tower: from now on runs are of half that size", StringComparison.Ordinal)));

        async Task<List<int[]>> TokensAsync(Action<string, int>? beforeRun)
        {
            await using var captioner = _captioner = await LoadAsync(options, ahead, beforeRun);
            return await captioner.CaptionBatchAsync(requests, new CaptionBatchOptions { Order = CaptionOrder.AsRequested }, Token)
                .Select(result => result.Caption!.TokenIds.ToArray()).ToListAsync(Token);
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task What_does_not_fit_without_any_slot_fails_and_says_so_and_costs_the_others_none(bool ahead)
    {
        // Only while the first image's turn lasts: its run, and its second try.
        int tries = 0;
        var expected = await UndisturbedAsync();

        var actual = await CaptionAsync(4, ahead, (stage, _) =>
        {
            if (stage == "vision" && ++tries <= 2)
                throw new OutOfMemoryException("Tests have taken it.");
        }, inTurn: true);

        Assert.Equal(
            "InsufficientMemoryException: Not enough memory for the vision of a caption, not even with the memory of all slots. "
            + "Use a coarser image detail. (Tests have taken it.)", actual[s_images[0]]);
        Assert.Equal(expected.Where(one => one.Key != s_images[0]), actual.Where(one => one.Key != s_images[0]));
        Assert.Equal((4, s_images.Length + 1), (_captioner!.Engine.Slots, tries));
        Assert.Empty(_telemetry["medvlm.slots.reductions"]);
        Assert.Equal(1, Assert.Single(_telemetry["medvlm.failures"]).Value);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_caption_that_is_given_up_while_it_waits_for_the_slots_to_empty_holds_up_none(bool ahead)
    {
        using var scene = new WaitingScene(this, ahead, slots: 2);
        await using var captioner = await scene.BeginAsync();
        using var cancel = new CancellationTokenSource();
        var given = captioner.CaptionAsync(Request(1), cancel.Token);
        scene.AwaitStarved(1);
        var next = captioner.CaptionAsync(Request(2), Token);

        await cancel.CancelAsync();

        // Although the slots are not empty yet.
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given.WaitAsync(s_long, Token));
        Assert.True(SpinWait.SpinUntil(() => captioner.Engine.Gate.Free >= 3, s_long));
        Assert.Equal(1, captioner.Engine.Running);

        scene.GoOn();
        Assert.NotEmpty((await scene.First.WaitAsync(s_long, Token)).Text);
        Assert.NotEmpty((await next.WaitAsync(s_long, Token)).Text);
        Assert.Equal(1, captioner.Engine.Slots);
        Assert.True(SpinWait.SpinUntil(() => captioner.Engine.Gate.Free == 4 && captioner.Engine.Running == 0, s_long));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Disposing_ends_those_that_wait_for_the_slots_to_empty(bool ahead)
    {
        using var scene = new WaitingScene(this, ahead, slots: 4);
        var captioner = await scene.BeginAsync();
        var waiting = Enumerable.Range(1, 5).Select(i => captioner.CaptionAsync(Request(i), Token)).ToList();
        scene.AwaitStarved(1);

        var disposed = captioner.DisposeAsync().AsTask();
        scene.GoOn();
        await disposed.WaitAsync(s_long, Token);

        foreach (var call in waiting.Append(scene.First))
            await Assert.ThrowsAsync<ObjectDisposedException>(() => call.WaitAsync(s_long, Token));
        Assert.Equal((8, 0), (captioner.Engine.Gate.Free, captioner.Engine.QueueLength));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Captions_that_come_and_go_while_memory_does_are_right_or_given_up(bool ahead)
    {
        const int Calls = 120;
        var expected = await UndisturbedAsync();
        int runs = 0;
        await using var captioner = _captioner = await LoadAsync(4, ahead, (stage, images) =>
        {
            if (stage == "vision" && images + _captioner?.Engine.CacheSlots > 1 && Interlocked.Increment(ref runs) % 3 == 0)
                throw new OutOfMemoryException("Tests have taken it.");
        });

        await Task.WhenAll(Enumerable.Range(0, Calls).Select(i => Task.Run(async () =>
        {
            using var cancel = new CancellationTokenSource();
            if (i % 3 == 0)
                cancel.CancelAfter(new Random(i).Next(1, 400));
            try
            {
                Assert.Equal(expected[s_images[i % s_images.Length]], (await captioner.CaptionAsync(Request(i), cancel.Token)).Text);
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
            }
        }, Token))).WaitAsync(2 * s_long, Token);

        Assert.True(SpinWait.SpinUntil(() => captioner.Engine.Running == 0 && captioner.Engine.Gate.Free == 8, s_long));
        Assert.Equal((0, 1), (captioner.Engine.QueueLength, captioner.Engine.Slots));

        // Those that were given up gave their pixels back too, and no more is kept than planned.
        var pixels = captioner.Model.Family.Pixels;
        Assert.Equal(0, pixels.Used);
        Assert.InRange(pixels.Kept, 1, pixels.MostKept);
    }

    [Fact]
    public async Task A_tower_that_writes_into_the_slots_halves_them_too()
    {
        var cases = GoldenCase.Names().Where(name => name.StartsWith("blip/", StringComparison.Ordinal)).Select(GoldenCase.Load).ToList();
        Assert.SkipWhen(cases.Count == 0, "The goldens folder has no blip.");
        var options = cases[0].ToOptions();
        options.Slots = 4;
        await using var captioner = _captioner = await LoadAsync(options, ahead: false, (stage, images) =>
        {
            if (stage == "vision" && images + _captioner?.Engine.CacheSlots > 3)
                throw new OutOfMemoryException("Tests have taken it.");
        });

        foreach (var golden in cases.Where(golden => golden.Checkpoint == cases[0].Checkpoint))
            Assert.Equal(golden.GeneratedIds, (await captioner.CaptionAsync(golden.ToRequest(), Token)).TokenIds);
        Assert.Equal(2, captioner.Engine.Slots);
    }

    [Theory, InlineData("cpu:0", true), InlineData("gpu:7", false)]
    public async Task The_decoders_arena_gives_back_what_it_keeps(string arena, bool known)
    {
        // An arena that does not exist shows that ONNX Runtime reads the request.
        await using var captioner = await LoadAsync(1, ahead: false, null);

        Assert.Equal(known, DecoderArena.TryShrink(captioner.Model, arena));
    }

    static CaptionRequest Request(int i) => new(MedicalImage.FromFile(s_images[i % s_images.Length]))
    {
        Id = s_images[i % s_images.Length], Options = new CaptionOptions { MaxNewTokens = 12 },
    };

    Task<MedicalCaptioner> LoadAsync(int slots, bool ahead, Action<string, int>? beforeRun) =>
        LoadAsync(new MedicalCaptionerOptions { Slots = slots, VisionCacheMiB = 0 }.UseTinyModel(), ahead, beforeRun);

    Task<MedicalCaptioner> LoadAsync(MedicalCaptionerOptions options, bool ahead, Action<string, int>? beforeRun) => MedicalCaptioner.LoadAsync(
        options, _loggers, new(ahead, _services.GetRequiredService<IMeterFactory>()) { BeforeRun = beforeRun }, Token);

    /// <summary>A caption, or an error, for each image.</summary>
    async Task<SortedDictionary<string, string>> CaptionAsync(int slots, bool ahead, Action<string, int>? beforeRun, bool inTurn = false)
    {
        await using var captioner = _captioner = await LoadAsync(slots, ahead, beforeRun);
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal);
        if (inTurn)
            for (int i = 0; i < s_images.Length; i++)
                texts.Add(s_images[i], await TextAsync(captioner.CaptionAsync(Request(i), Token)));
        else
            await foreach (var result in captioner.CaptionBatchAsync(Enumerable.Range(0, s_images.Length).Select(Request), Token))
                texts.Add(result.Request.Id, result.Caption?.Text ?? Said(result.Error!));
        return texts;
    }

    /// <summary>What the images say while memory suffices, which depends neither on the slots nor on the order: once for all tests.</summary>
    async Task<SortedDictionary<string, string>> UndisturbedAsync() => s_undisturbed ??= await CaptionAsync(4, ahead: false, null);

    static async Task<string> TextAsync(Task<Caption> caption)
    {
        try
        {
            return (await caption).Text;
        }
        catch (MedVlmException e)
        {
            return Said(e);
        }
    }

    static string Said(Exception e) => $"{e.GetType().Name}: {e.Message}";

    /// <summary>A caption stands still in its slot while the vision tower finds no memory for the next.</summary>
    sealed class WaitingScene(VisionOutOfMemoryTests tests, bool ahead, int slots) : IDisposable
    {
        readonly ManualResetEventSlim _goOn = new();
        MedicalCaptioner? _captioner;
        volatile int _starved;

        public Task<Caption> First { get; private set; } = null!;

        public async Task<MedicalCaptioner> BeginAsync()
        {
            _captioner = await tests.LoadAsync(slots, ahead, (stage, _) =>
            {
                if (stage == "vision" && _captioner?.Engine.CacheSlots > 1)
                {
                    _starved++;
                    throw new OutOfMemoryException("Tests have taken it.");
                }
                if (stage != "decode")
                    return;

                // On the engine's own thread the tower has its turn between two steps.
                if (!ahead)
                    SpinWait.SpinUntil(() => _starved > 0 || _goOn.IsSet || _captioner!.Engine.QueueLength > 0, s_long);
                if (ahead || _starved > 0)
                    _goOn.Wait(Token);
            });
            First = _captioner.CaptionAsync(Request(0), Token);
            Assert.True(SpinWait.SpinUntil(() => _captioner.Engine.Running > 0, s_long));
            return _captioner;
        }

        public void AwaitStarved(int runs) => Assert.True(SpinWait.SpinUntil(() => _starved >= runs, s_long));

        public void GoOn() => _goOn.Set();

        public void Dispose()
        {
            _goOn.Set();
            _goOn.Dispose();
        }
    }
}
