using MedVlm.Imaging;
using MedVlm.Inference;
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
        var prepared = Enumerable.Range(0, 3).Select(seed => Prepare(captioner, seed, side: 40)).ToList();

        // Alone.
        var expected = prepared.ConvertAll(inputs =>
        {
            queue.Add(Generation(inputs));
            return stage.Take(wait: false)!.Features!.Features;
        });
        long runs = times.VisionRuns;
        Assert.Equal(3, runs);

        var together = prepared.ConvertAll(inputs => Generation(inputs));
        together.ForEach(queue.Add);
        var taken = together.ConvertAll(_ => stage.Take(wait: false)!);

        Assert.Equal(runs + 1, times.VisionRuns);
        Assert.Equal(together, taken);
        foreach (var (features, generation) in expected.Zip(taken))
            FamilyParityTests.Near(features, generation.Features!.Features, 1e-6, "joined features");
        Assert.Null(stage.Take(wait: false));
    }

    [Fact]
    public async Task No_run_is_larger_than_the_plans()
    {
        await using var captioner = await LoadAsync("smolvlm");
        var inputs = Prepare(captioner, 0, side: 40);
        long image = inputs.Vision.Sum(JoinedVisionRun.Values);
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
        Assert.All([1, 2, 4], i => Assert.Same(features[0], features[i]));
        Assert.NotEqual(features[0].Features, features[3].Features);
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
        var good = Prepare(captioner, 0, side: 40);

        // Says that it has more features than the graph makes of it.
        var bad = good with { Vision = [good.Vision[0] with { Features = good.Vision[0].Features + 1 }] };
        Generation[] all = [Generation(good), Generation(bad), Generation(good)];
        foreach (var generation in all)
            queue.Add(generation);

        Assert.Same(all[0], stage.Take(wait: false));
        Assert.Same(all[2], stage.Take(wait: false));
        Assert.Null(stage.Take(wait: false));
        Assert.IsType<MedVlmException>(all[1].Error);
    }

    static async Task<MedicalCaptioner> LoadAsync(string family)
    {
        var name = GoldenCase.Names().FirstOrDefault(name => name.StartsWith(family + "/", StringComparison.Ordinal));
        Assert.SkipWhen(name is null, $"The goldens folder has no {family}.");
        return await MedicalCaptioner.LoadAsync(GoldenCase.Load(name!).ToOptions(), cancellationToken: Token);
    }

    static VisionStage Stage(MedicalCaptioner captioner, out EngineQueue queue, out EngineTimes times, long cacheBytes, int most = 8, long runValues = long.MaxValue)
    {
        (queue, times) = (new EngineQueue(), new EngineTimes());
        return new VisionStage(captioner.Model, queue, new VisionCache(cacheBytes), times, most, runValues, ahead: false, Token);
    }

    static MedVlm.Models.ModelInputs Prepare(MedicalCaptioner captioner, int seed, int side)
    {
        var pixels = new byte[side * side * 3];
        new Random(seed).NextBytes(pixels);
        return captioner.Model.Family.Prepare([new RgbImage(side, side, pixels)], "what", new CaptionOptions { ImageDetail = new() { SplitIntoTiles = false } });
    }

    static Generation Generation(
        MedVlm.Models.ModelInputs inputs, ImageKey? key = null, IDisposable? place = null, CancellationTokenSource? cancel = null) =>
        new(inputs, new SamplingSettings(0, 1, null, 1, 0), 4, null!, cancel?.Token ?? Token) { Caller = new object(), ImageKey = key, Place = place };
}
