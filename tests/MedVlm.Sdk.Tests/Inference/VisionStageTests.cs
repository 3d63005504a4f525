using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Models;

namespace MedVlm.Tests.Inference;

/// <summary>Which images go into one run of the vision tower, and that it makes no difference to them.</summary>
public sealed class VisionStageTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>The families whose runs join. In the others an image's inputs hold the places of its own patches in the run.</summary>
    public static TheoryData<string> Joining => ["smolvlm", "qwen2-vl"];

    [Theory, MemberData(nameof(Joining))]
    public async Task Images_that_stack_go_into_one_run_and_keep_their_features(string family)
    {
        await using var captioner = await LoadAsync(family);
        var stage = Stage(captioner, out var queue, out var times, cacheBytes: 0);
        var seeds = Enumerable.Range(0, 3).ToList();

        // Alone.
        var expected = seeds.ConvertAll(seed =>
        {
            queue.Add(Generation(Prepare(captioner, seed, side: 40)));
            return stage.Take(wait: false)!.Features!.Values.ToArray();
        });
        long runs = times.VisionRuns;
        Assert.Equal(3, runs);

        var together = seeds.ConvertAll(seed => Generation(Prepare(captioner, seed, side: 40)));
        together.ForEach(queue.Add);
        var taken = together.ConvertAll(_ => stage.Take(wait: false)!);

        Assert.Equal(runs + 1, times.VisionRuns);
        Assert.Equal(together, taken);
        foreach (var (features, generation) in expected.Zip(taken))
            FamilyParityTests.Near(features, generation.Features!.Values.ToArray(), 1e-6, "joined features");
        Assert.Null(stage.Take(wait: false));
    }

    [Fact]
    public async Task No_run_is_larger_than_the_plans()
    {
        await using var captioner = await LoadAsync("smolvlm");
        var inputs = Prepare(captioner, 0, side: 40);
        long image = inputs.Vision.Sum(run => run.Values);
        var stage = Stage(captioner, out var queue, out var times, cacheBytes: 0, most: 8, runValues: 4 * image - 1);

        for (int i = 0; i < 5; i++)
            queue.Add(Generation(inputs));
        Assert.NotNull(stage.Take(wait: false));

        Assert.Equal((1, 2), ((int)times.VisionRuns, queue.Count));
    }

    [Fact]
    public async Task The_same_image_runs_once_however_often_it_waits_and_other_images_do_not_take_its_features()
    {
        await using var captioner = await LoadAsync("phi3.5-vision");
        var stage = Stage(captioner, out var queue, out var times, cacheBytes: 64 << 20);
        var (same, other) = (Prepare(captioner, 1, side: 40), Prepare(captioner, 2, side: 40));
        var key = new ImageKey("same");

        for (int i = 0; i < 3; i++)
            queue.Add(Generation(same, key));
        queue.Add(Generation(other, new ImageKey("other")));
        queue.Add(Generation(same, key));
        var features = Enumerable.Range(0, 5).Select(_ => stage.Take(wait: false)!.Features!).ToList();

        Assert.Equal(2, times.VisionRuns);
        Assert.All([1, 2, 4], i => Assert.True(features[0].Values == features[i].Values));   // the same memory
        Assert.False(features[0].Values.SequenceEqual(features[3].Values));
    }

    [Fact]
    public async Task One_that_is_given_up_while_it_waits_gives_its_place_back_at_once()
    {
        await using var captioner = await LoadAsync("smolvlm");
        Stage(captioner, out var queue, out _, cacheBytes: 0);
        var gate = new FairGate(1);
        using var cancel = new CancellationTokenSource();
        var generation = Generation(
            Prepare(captioner, 0, side: 40), place: await gate.EnterAsync(this, Token), cancel: cancel);
        queue.Add(generation);

        await cancel.CancelAsync();

        Assert.Equal((0, 1), (queue.Count, gate.Free));
        Assert.IsAssignableFrom<OperationCanceledException>(generation.Error);
        Assert.Empty(generation.Inputs.Vision);
    }

    [Fact]
    public async Task What_fails_in_a_run_of_several_fails_alone()
    {
        await using var captioner = await LoadAsync("smolvlm");
        var stage = Stage(captioner, out var queue, out _, cacheBytes: 0);
        ModelInputs Good() => Prepare(captioner, 0, side: 40);

        // Says that it has more features than the graph makes of it.
        var bad = Good();
        bad = bad with { Vision = [bad.Vision[0] with { Features = bad.Vision[0].Features + 1 }] };
        Generation[] all = [Generation(Good()), Generation(bad), Generation(Good())];
        foreach (var generation in all)
            queue.Add(generation);

        Assert.Same(all[0], stage.Take(wait: false));
        Assert.Same(all[2], stage.Take(wait: false));
        Assert.Null(stage.Take(wait: false));
        Assert.IsType<MedVlmException>(all[1].Error);
    }

    [Theory]
    [InlineData(8, 8, new int[0], 2), InlineData(8, 4, new[] { 4 }, 4), InlineData(8, 1, new[] { 4, 2, 1 }, 16), InlineData(5, 3, new[] { 2 }, 9)]
    public async Task A_run_that_memory_does_not_suffice_for_is_halved_and_runs_to_come_with_it(int most, int fits, int[] images, int runs)
    {
        await using var captioner = await LoadAsync("smolvlm");
        var (reduced, made, all) = (new List<(int From, int To)>(), 0, Enumerable.Range(0, 16).Select(seed => Generation(Prepare(captioner, seed, side: 40))).ToList());
        var stage = Stage(captioner, out var queue, out _, cacheBytes: 0, most, hooks: new EngineHooks(
            VisionRunReduced: (from, to) => reduced.Add((from, to)),
            BeforeRun: (_, images) => made += images > fits ? throw new OutOfMemoryException("Tests have taken it.") : 1));

        all.ForEach(queue.Add);
        var taken = all.ConvertAll(_ => stage.Take(wait: false)!);

        Assert.Equal(all, taken);
        Assert.Equal(images.Prepend(most).Zip(images), reduced);
        Assert.Equal(runs, made);
        Assert.False(stage.NeedsMemory);
    }

    [Fact]
    public async Task One_image_that_memory_does_not_suffice_for_waits_and_so_do_those_behind_it()
    {
        await using var captioner = await LoadAsync("smolvlm");
        using var cancel = new CancellationTokenSource();
        bool enough = false;
        var stage = Stage(captioner, out var queue, out _, cacheBytes: 64 << 20, hooks: new EngineHooks(
            BeforeRun: (_, _) => { if (!enough) throw new OutOfMemoryException("Tests have taken it."); }));
        Generation[] all = [.. "aabbcd".Select((key, i) => Generation(Prepare(captioner, key, side: 40), new ImageKey($"{key}"), cancel: i is 1 or 4 ? cancel : null))];
        foreach (var generation in all)
            queue.Add(generation);

        Assert.Null(stage.Take(wait: true));
        Assert.True(stage.NeedsMemory);
        Assert.Null(stage.Take(wait: false));

        // Those that are given up meanwhile end at once, also behind it.
        await cancel.CancelAsync();
        Assert.All([all[1], all[4]], generation => Assert.IsAssignableFrom<OperationCanceledException>(generation.Error));
        Assert.All([all[1], all[4]], generation => Assert.Empty(generation.Inputs.Vision));

        enough = true;
        Assert.True(stage.TryAgain());
        Assert.Equal([all[0], all[2], all[3], all[5]], Enumerable.Range(0, 4).Select(_ => stage.Take(wait: false)));
        Assert.Null(stage.Take(wait: false));
        Assert.False(stage.NeedsMemory);
    }

    [Fact]
    public async Task What_does_not_fit_at_its_second_try_fails_and_the_next_has_its_own()
    {
        await using var captioner = await LoadAsync("smolvlm");
        var stage = Stage(captioner, out var queue, out _, cacheBytes: 64 << 20, most: 2, hooks: new EngineHooks(
            BeforeRun: (_, _) => throw new OutOfMemoryException("Tests have taken it.")));
        Generation[] all = [.. "aab".Select(key => Generation(Prepare(captioner, key, side: 40), new ImageKey($"{key}")))];
        foreach (var generation in all)
            queue.Add(generation);

        Assert.Null(stage.Take(wait: true));
        Assert.False(stage.TryAgain());
        Assert.All(all[..2], generation => Assert.IsType<InsufficientMemoryException>(generation.Error));
        Assert.Null(all[2].Error);

        Assert.Null(stage.Take(wait: true));
        Assert.True(stage.NeedsMemory);
        Assert.False(stage.TryAgain());
        Assert.IsType<InsufficientMemoryException>(all[2].Error);
        Assert.Null(stage.Take(wait: false));
        Assert.False(stage.TryAgain());
    }

    [Fact]
    public async Task A_run_that_nobody_waits_for_any_more_holds_up_none()
    {
        await using var captioner = await LoadAsync("smolvlm");
        using var cancel = new CancellationTokenSource();
        int runs = 0;
        var stage = Stage(captioner, out var queue, out _, cacheBytes: 0, most: 1, hooks: new EngineHooks(
            BeforeRun: (_, _) => { if (runs++ == 0) throw new OutOfMemoryException("Tests have taken it."); }));
        Generation[] all = [Generation(Prepare(captioner, 0, side: 40), cancel: cancel), Generation(Prepare(captioner, 1, side: 40))];
        foreach (var generation in all)
            queue.Add(generation);
        Assert.Null(stage.Take(wait: true));

        await cancel.CancelAsync();

        Assert.False(stage.TryAgain());
        Assert.Same(all[1], stage.Take(wait: true));
    }

    [Fact]
    public async Task An_error_that_is_no_captions_own_ends_the_thread_and_whoever_takes_from_it()
    {
        await using var captioner = await LoadAsync("smolvlm");
        using var stop = new CancellationTokenSource();
        var queue = new EngineQueue();
        Generation[] all = [.. Enumerable.Range(0, 3).Select(seed => Generation(Prepare(captioner, seed, side: 40), place: seed == 0 ? new BrokenPlace() : null))];
        foreach (var generation in all)
            queue.Add(generation);
        var stage = new VisionStage(
            captioner.Model, queue, new VisionCache(0), new EngineTimes(), most: 2, long.MaxValue, ahead: true,
            new EngineHooks(BeforeRun: (_, _) => throw new MedVlmException("This image cannot be run.")), stop.Token);

        Assert.Equal("A place is broken.", Assert.Throws<InvalidDataException>(() => stage.Take(wait: true)).Message);
        stage.End(new MedVlmException("The engine has ended."));

        Assert.Equal(["This image cannot be run.", "The engine has ended.", null], all.Select(generation => generation.Error?.Message));
        Assert.Equal(1, queue.Count);
    }

    sealed class BrokenPlace : IDisposable
    {
        public void Dispose() => throw new InvalidDataException("A place is broken.");
    }

    static async Task<MedicalCaptioner> LoadAsync(string family)
    {
        var name = GoldenCase.Names().FirstOrDefault(name => name.StartsWith(family + "/", StringComparison.Ordinal));
        Assert.SkipWhen(name is null, $"The goldens folder has no {family}.");
        return await MedicalCaptioner.LoadAsync(GoldenCase.Load(name!).ToOptions(), cancellationToken: Token);
    }

    static VisionStage Stage(MedicalCaptioner captioner, out EngineQueue queue, out EngineTimes times, long cacheBytes, int most = 8, long runValues = long.MaxValue, EngineHooks? hooks = null)
    {
        (queue, times) = (new EngineQueue(), new EngineTimes());
        return new VisionStage(captioner.Model, queue, new VisionCache(cacheBytes), times, most, runValues, ahead: false, hooks ?? new(), Token);
    }

    static ModelInputs Prepare(MedicalCaptioner captioner, int seed, int side)
    {
        var pixels = new byte[side * side * 3];
        new Random(seed).NextBytes(pixels);
        return captioner.Model.Family.Prepare([new RgbImage(side, side, pixels)], "what", new CaptionOptions { ImageDetail = new() { SplitIntoTiles = false } });
    }

    static Generation Generation(
        ModelInputs inputs, ImageKey? key = null, IDisposable? place = null, CancellationTokenSource? cancel = null) =>
        new(inputs, new SamplingSettings(0, 1, null, 1, 0), 4, null!, cancel?.Token ?? Token) { Caller = new object(), ImageKey = key, Place = place };
}
