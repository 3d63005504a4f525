using MedVlm.Inference;
using MedVlm.Tests.Models;

namespace MedVlm.Tests.Inference;

/// <summary>Image features lie in native memory: until the last of their owners lets go, and not longer.</summary>
public sealed class VisionFeaturesTests
{
    static readonly string[] s_images = [.. Directory.EnumerateFiles(TestFolders.Phantoms, "*.jpg").Order(StringComparer.Ordinal).Take(8)];

    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void They_are_freed_with_the_last_owner_however_often_each_lets_go()
    {
        var memory = new FeatureMemory();
        var first = new VisionFeatures(memory, 10, crossBytes: 6);
        var second = first.Share();
        first.Values.Fill(1);
        first.Cross.Fill(2);

        first.Dispose();
        first.Dispose();

        Assert.Equal((46, 46), (second.Bytes, memory.Used));
        Assert.Equal((10, 6), (second.Values.Count(1), second.Cross.Count((byte)2)));
        second.Dispose();
        Assert.Equal(0, memory.Used);
        Assert.Throws<ObjectDisposedException>(() => second.Values.Length);
        Assert.Throws<ObjectDisposedException>(second.Share);
    }

    [Fact]
    public void Those_of_one_image_are_cut_from_a_joined_run_and_need_it_no_more()
    {
        var memory = new FeatureMemory();
        var all = new VisionFeatures(memory, 5);
        for (int i = 0; i < 5; i++)
            all.Values[i] = i;
        using var cut = all.Cut(1, 3);
        using (var whole = all.Cut(0, 5))
            Assert.Equal(8 * sizeof(float), memory.Used);

        all.Dispose();

        Assert.Equal(3 * sizeof(float), memory.Used);
        Assert.Equal([1, 2, 3], cut.Values.ToArray());
    }

    [Fact]
    public void Owners_on_many_threads_free_them_once()
    {
        var memory = new FeatureMemory();
        var first = new VisionFeatures(memory, 1000);
        Parallel.For(0, 1000, i =>
        {
            using var mine = first.Share();
            mine.Values[i] = i;
        });
        Assert.Equal(first.Bytes, memory.Used);
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (float)i), first.Values.ToArray());

        var holds = Enumerable.Range(0, 1000).Select(_ => first.Share()).Append(first).ToList();
        Parallel.ForEach(holds.Concat(holds), hold => hold.Dispose());
        Assert.Equal(0, memory.Used);
    }

    /// <summary>What is left when all captions have ended is what the cache keeps, and nothing once the captioner is disposed.</summary>
    /// <param name="family">Of the goldens; "tiny" for the TinyModel.</param>
    /// <param name="cacheMiB">For features of images that come again.</param>
    /// <param name="ahead">Whether the vision tower has a thread of its own.</param>
    [Theory]
    [InlineData("tiny", 0, false), InlineData("tiny", 0, true), InlineData("tiny", 64, false), InlineData("tiny", 64, true)]
    [InlineData("qwen2-vl", 64, true), InlineData("phi3.5-vision", 64, true), InlineData("blip", 0, false), InlineData("blip", 64, false)]
    public async Task Captions_that_end_fail_or_are_given_up_leave_none_behind(string family, int cacheMiB, bool ahead)
    {
        const int Calls = 60;
        var random = new Random(1);
        int runs = 0;
        var captioner = await MedicalCaptioner.LoadAsync(Options(family, cacheMiB), null, new(ahead, null)
        {
            // Every kind of run fails now and then, for memory or for another reason; a decode step seldom, as it takes all captions with it.
            BeforeRun = (stage, _) =>
            {
                int run = Interlocked.Increment(ref runs);
                if (run % 7 == 0 && stage != "decode" || run % 53 == 0)
                    throw new OutOfMemoryException("Tests have taken it.");
                if (run % 11 == 0 && stage != "decode" || run % 59 == 0)
                    throw new InvalidDataException("A run has failed.");
            },
        }, Token);
        var features = captioner.Model.Features;

        // Images come twice in a row, and again later.
        var calls = Enumerable.Range(0, Calls).Select(i => (Image: s_images[i / 2 % s_images.Length], Delay: i % 3 == 0 ? random.Next(1, 300) : (int?)null));
        var ends = new System.Collections.Concurrent.ConcurrentBag<string>();
        await Task.WhenAll(calls.Select(call => Task.Run(async () =>
        {
            using var cancel = CancellationTokenSource.CreateLinkedTokenSource(Token);
            if (call.Delay is { } delay)
                cancel.CancelAfter(delay);
            var error = await Record.ExceptionAsync(() => captioner.CaptionAsync(Request(call.Image), cancel.Token));
            Assert.True(error is null or OperationCanceledException or MedVlmException, $"{error}");
            ends.Add(error?.Message ?? "A caption.");
        }, Token))).WaitAsync(TimeSpan.FromMinutes(2), Token);

        Assert.Contains("A caption.", ends);
        AssertIdle(captioner);
        Assert.Equal(captioner.Engine.VisionCache.Bytes, features.Used);
        Assert.Equal(cacheMiB > 0, features.Used > 0);

        // In the middle of captions.
        var last = Enumerable.Range(0, 10).Select(i => captioner.CaptionAsync(Request(s_images[i % s_images.Length]), Token)).ToList();
        await captioner.DisposeAsync();
        foreach (var call in last)
            await Record.ExceptionAsync(() => call);
        Assert.Equal((0, 0), (features.Used, captioner.Engine.VisionCache.Bytes));
    }

    static MedicalCaptionerOptions Options(string family, int cacheMiB)
    {
        if (family == "tiny")
            return new MedicalCaptionerOptions { Slots = 4, VisionCacheMiB = cacheMiB }.UseTinyModel();
        var name = GoldenCase.Names().FirstOrDefault(name => name.StartsWith(family + "/", StringComparison.Ordinal));
        Assert.SkipWhen(name is null, $"The goldens folder has no {family}.");
        var options = GoldenCase.Load(name!).ToOptions();
        (options.Slots, options.VisionCacheMiB) = (4, cacheMiB);
        return options;
    }

    static CaptionRequest Request(string image) => new(MedicalImage.FromFile(image)) { Options = new CaptionOptions { MaxNewTokens = 8 } };

    static void AssertIdle(MedicalCaptioner captioner)
    {
        var engine = captioner.Engine;
        Assert.True(SpinWait.SpinUntil(() => engine.Running == 0 && engine.QueueLength == 0 && engine.Gate.Waiting == 0
            && captioner.Model.Features.Used == engine.VisionCache.Bytes, TimeSpan.FromMinutes(1)), $"{captioner.Model.Features.Used} bytes of features are in use.");
    }
}
