namespace MedVlm.Tests.Inference;

/// <summary>A KV cache for captions that are longer than the plan counts on stays within it, and is as planned again after them.</summary>
public sealed class CacheLengthTests
{
    const int Planned = 256;

    static readonly string[] s_images = [.. Directory.EnumerateFiles(TestFolders.Phantoms, "*.jpg").Order(StringComparer.Ordinal).Take(6)];

    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Longer_captions_have_fewer_slots_and_those_after_them_all_of_them()
    {
        await using var captioner = await LoadAsync(slots: 4);
        var expected = await TextsAsync(captioner, 16);
        Assert.Equal(4, captioner.Engine.CacheSlots);

        Assert.Equal(expected, await TextsAsync(captioner, 2 * Planned - 100));
        Assert.Equal(2, captioner.Engine.CacheSlots);

        Assert.Equal(expected, await TextsAsync(captioner, 16));
        Assert.Equal((4, 4), (captioner.Engine.CacheSlots, captioner.Engine.Slots));
    }

    [Fact]
    public async Task A_batch_that_goes_on_has_all_slots_again_after_a_longer_caption()
    {
        var rows = new List<int>();
        await using var captioner = await LoadAsync(slots: 4, (stage, running) =>
        {
            if (stage == "decode")
                rows.Add(running);
        });
        int[] lengths = [2 * Planned - 100, .. Enumerable.Repeat(16, 30)];

        var results = await captioner.CaptionBatchAsync(
            lengths.Select((length, i) => new CaptionRequest(MedicalImage.FromFile(s_images[i % s_images.Length])) { Options = new CaptionOptions { MaxNewTokens = length } }),
            Token).ToListAsync(Token);

        Assert.All(results, result => Assert.Null(result.Error));
        Assert.Contains(4, rows);
        Assert.Equal(4, captioner.Engine.CacheSlots);
    }

    [Fact]
    public async Task One_that_does_not_even_fit_alone_fails_and_says_by_how_much()
    {
        await using var captioner = await LoadAsync(slots: 1);
        var expected = await TextsAsync(captioner, 16);

        var error = await Assert.ThrowsAsync<InsufficientMemoryException>(
            () => captioner.CaptionAsync(MedicalImage.FromFile(s_images[0]), new CaptionOptions { MaxNewTokens = 3 * Planned }, Token));

        Assert.Matches(
            @"^A caption of \d+ tokens, \d+ of them the prompt's, takes \d+ MiB of KV cache, and the memory plan leaves \d+\. Ask for fewer new tokens, use a coarser image detail, "
            + "raise MaxDeviceMemoryMiB, or free memory\\.$", error.Message);
        Assert.Equal(expected, await TextsAsync(captioner, 16));
    }

    [Fact]
    public async Task One_that_is_given_up_while_it_waits_for_all_slots_holds_nobody_up()
    {
        int decodes = 0;
        var prefills = new List<int>();
        using var steps = new SemaphoreSlim(0);
        await using var captioner = await MedicalCaptioner.LoadAsync(new MedicalCaptionerOptions { Slots = 2, VisionCacheMiB = 0 }.UseTinyModel(), null, new()
        {
            BeforeRun = (stage, rows) =>
            {
                if (stage == "prefill")
                    prefills.Add(rows);
                if (stage != "decode")
                    return;
                Interlocked.Increment(ref decodes);
                steps.Wait(Token);
            },
        }, Token);
        var engine = captioner.Engine;
        using var impatient = new CancellationTokenSource();

        Task<Caption> running, longer, shorter;
        try
        {
            running = captioner.CaptionAsync(MedicalImage.FromFile(s_images[0]), cancellationToken: Token);
            Until(() => decodes == 1);
            longer = captioner.CaptionAsync(MedicalImage.FromFile(s_images[1]), new CaptionOptions { MaxNewTokens = 2 * Planned }, impatient.Token);
            Until(() => engine.QueueLength == 1);
            steps.Release();
            Until(() => decodes == 2);   // it has been looked at, and waits until nothing runs
            await impatient.CancelAsync();
            shorter = captioner.CaptionAsync(MedicalImage.FromFile(s_images[2]), cancellationToken: Token);
            Until(() => engine.QueueLength == 1);
        }
        finally
        {
            steps.Release(1000);   // its end waits for the steps
        }

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => longer);
        await Task.WhenAll(running, shorter);
        Assert.Equal([1, 2], prefills);   // beside the one that runs

        static void Until(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(30)));
    }

    /// <summary>The TinyModel in the memory that its plan asks for, and no more.</summary>
    static async Task<MedicalCaptioner> LoadAsync(int slots, Action<string, int>? beforeRun = null)
    {
        var options = new MedicalCaptionerOptions { Slots = slots, Precision = Precision.Fp32, VisionCacheMiB = 0 }.UseTinyModel();
        options.DefaultCaption.MaxNewTokens = 16;
        var plan = await MedicalCaptioner.PlanAsync(options, cancellationToken: Token);
        Assert.Equal(Planned, plan.SlotLength);
        options.MaxDeviceMemoryMiB = (int)((plan.Chosen!.TotalBytes >> 20) + 1);
        return await MedicalCaptioner.LoadAsync(options, null, new() { BeforeRun = beforeRun }, Token);
    }

    static async Task<List<string>> TextsAsync(MedicalCaptioner captioner, int maxNewTokens) => await captioner.CaptionBatchAsync(
            s_images.ToAsyncEnumerable().Select(image => new CaptionRequest(MedicalImage.FromFile(image)) { Options = new CaptionOptions { MaxNewTokens = maxNewTokens } }),
            new CaptionBatchOptions { Order = CaptionOrder.AsRequested }, Token)
        .Select(result => result.Caption?.Text ?? result.Error!.Message).ToListAsync(Token);
}
