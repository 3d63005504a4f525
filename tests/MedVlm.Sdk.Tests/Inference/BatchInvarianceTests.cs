using MedVlm.Tests.Models;

namespace MedVlm.Tests.Inference;

/// <summary>A caption does not depend on its neighbours: every golden case of every family says the same alone and in any mix.</summary>
[Trait("Category", "Golden")]
public sealed class BatchInvarianceTests
{
    const int Mixes = 20;

    static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>Each checkpoint on disk, with its LoRA adapters.</summary>
    public static TheoryData<string> Models =>
    [
        .. GoldenCase.Names().Select(GoldenCase.Load).Select(golden => Path.GetRelativePath(TestFolders.Goldens, golden.Checkpoint).Replace('\\', '/')).Distinct(),
        .. GoldenCase.LoraNames().Select(name => name[..name.LastIndexOf('/')]).Distinct(),
    ];

    [Theory, MemberData(nameof(Models))]
    public async Task Every_case_says_the_same_alone_and_in_any_mix(string model)
    {
        var cases = CasesOf(model, out var options);

        // Without kept features every image runs anew, with whatever it is joined with.
        options.VisionCacheMiB = 0;
        options.Slots = 4;
        await using (var captioner = await MedicalCaptioner.LoadAsync(options, cancellationToken: Token))
        {
            foreach (var golden in cases)
                Assert.Equal(golden.GeneratedIds, (await captioner.CaptionAsync(golden.ToRequest(), Token)).TokenIds);
            for (int seed = 0; seed < Mixes / 2; seed++)
                await AssertMixAsync(captioner, cases, seed);
        }

        // With kept features most images come from there.
        options.VisionCacheMiB = 64;
        options.Slots = 3;
        await using (var captioner = await MedicalCaptioner.LoadAsync(options, cancellationToken: Token))
        {
            for (int seed = Mixes / 2; seed < Mixes; seed++)
                await AssertMixAsync(captioner, cases, seed);
            Assert.True(captioner.Engine.VisionCache.Hits > captioner.Engine.VisionCache.Misses);
        }
    }

    [Theory, MemberData(nameof(Models))]
    public async Task With_the_vision_tower_on_a_thread_of_its_own_too(string model)
    {
        var cases = CasesOf(model, out var options);
        options.VisionCacheMiB = 1;
        options.Slots = 3;
        await using var captioner = await MedicalCaptioner.LoadAsync(options, null, new MedicalCaptioner.LoadSettings(VisionAhead: true), Token);

        for (int seed = 0; seed < 3; seed++)
            await AssertMixAsync(captioner, cases, seed);
    }

    /// <summary>All cases in a random order, some twice, some given up on the way.</summary>
    static async Task AssertMixAsync(MedicalCaptioner captioner, IReadOnlyList<GoldenCase> cases, int seed)
    {
        var random = new Random(seed);
        var order = cases.Concat(random.GetItems(cases.ToArray(), 3)).ToArray();
        random.Shuffle(order);

        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(random.Next(1, 50)));
        var givenUp = Record.ExceptionAsync(() => captioner.CaptionAsync(order[0].ToRequest(), cancel.Token));
        await foreach (var result in captioner.CaptionBatchAsync(order.Select(golden => golden.ToRequest()), Token))
        {
            Assert.Null(result.Error);
            Assert.Equal(cases.Single(golden => golden.Name == result.Request.Id).GeneratedIds, result.Caption!.TokenIds);
        }
        Assert.True(await givenUp is null or OperationCanceledException);
    }

    static List<GoldenCase> CasesOf(string model, out MedicalCaptionerOptions options)
    {
        var lora = GoldenCase.LoraNames().Where(name => name.StartsWith(model + "/", StringComparison.Ordinal)).Select(GoldenCase.LoadLora).ToList();
        if (lora.Count > 0)
        {
            var folder = Path.Combine(TestFolders.Goldens, lora[0].Family);
            options = new MedicalCaptionerOptions { Model = Path.Combine(folder, "..", "checkpoint"), Adapter = folder };
            return lora;
        }

        var cases = GoldenCase.Names().Select(GoldenCase.Load)
            .Where(golden => Path.GetFullPath(golden.Checkpoint) == Path.GetFullPath(Path.Combine(TestFolders.Goldens, model))).ToList();
        options = cases[0].ToOptions();
        return cases;
    }
}
