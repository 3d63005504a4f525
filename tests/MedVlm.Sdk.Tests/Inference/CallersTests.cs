using System.Runtime.CompilerServices;

namespace MedVlm.Tests.Inference;

/// <summary>Many callers, bad images, readers that are slow or leave: what a captioner holds to, and that it is as before when they are gone.</summary>
public sealed class CallersTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static readonly string[] s_prompts =
        [CaptionOptions.DefaultPrompt, "Which body region is shown?", "What imaging modality is this?", "Describe the image."];

    static IReadOnlyList<string> Images { get; } =
        [.. Directory.EnumerateFiles(TestFolders.Phantoms, "*.*").Where(MedicalImage.IsImageFile).Order(StringComparer.Ordinal)];

    static Task<MedicalCaptioner> LoadAsync(int slots, int visionCacheMiB = 64) => MedicalCaptioner.LoadAsync(
        new MedicalCaptionerOptions { Model = TestFolders.TinyModel, Slots = slots, VisionCacheMiB = visionCacheMiB }, cancellationToken: Token);

    [Fact]
    public async Task Eight_callers_at_once_get_each_their_own_captions_and_leave_nothing_behind()
    {
        const int Callers = 8, Each = 15;
        await using var captioner = await LoadAsync(slots: 4);

        // What each image says to each prompt when nothing else runs.
        var combinations = Images.Take(12).SelectMany(file => s_prompts.Select(prompt => (file, prompt))).ToList();
        var expected = new Dictionary<string, IReadOnlyList<int>>();
        foreach (var (file, prompt) in combinations)
            expected[$"{file}\n{prompt}"] = (await captioner.CaptionAsync(Request(file, prompt), Token)).TokenIds;
        Assert.True(expected.Values.DistinctBy(ids => string.Join(' ', ids)).Count() > 10);

        await Task.WhenAll(Enumerable.Range(0, Callers).Select(caller => Task.Run(async () =>
        {
            var random = new Random(caller);
            var requests = Enumerable.Range(0, Each).Select(_ => combinations[random.Next(combinations.Count)]).Select(one => Request(one.file, one.prompt)).ToList();

            // Half of them as a batch, the others one by one.
            if (caller % 2 == 0)
            {
                var order = caller % 4 == 0 ? CaptionOrder.AsFinished : CaptionOrder.AsRequested;
                var results = await captioner.CaptionBatchAsync(requests, new CaptionBatchOptions { Order = order }, Token).ToListAsync(Token);
                Assert.Equal(Each, results.Count);
                Assert.All(results, result => Assert.Equal(expected[result.Request.Id], result.Caption?.TokenIds));
            }
            else
                foreach (var request in requests)
                    Assert.Equal(expected[request.Id], (await captioner.CaptionAsync(request, Token)).TokenIds);
        }, Token)));

        AssertIdle(captioner);
        Assert.InRange(captioner.Engine.VisionCache.Bytes, 1, 64 << 20);

        static CaptionRequest Request(string file, string prompt) => new(MedicalImage.FromFile(file))
        {
            Id = $"{file}\n{prompt}", Options = new CaptionOptions { Prompt = prompt, MaxNewTokens = 16 },
        };
    }

    [Theory, InlineData(1), InlineData(4)]
    public async Task A_single_caption_is_served_within_a_few_of_a_batch_of_thousands(int slots)
    {
        await using var captioner = await LoadAsync(slots);
        int done = 0;
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var batch = Task.Run(async () =>
        {
            await foreach (var result in captioner.CaptionBatchAsync(Enumerable.Range(0, 10_000).Select(i => Request(i)), cancel.Token))
                Interlocked.Increment(ref done);
        }, Token);
        while (Volatile.Read(ref done) < 5)
            await Task.Delay(1, Token);

        for (int i = 0; i < 3; i++)
        {
            int before = Volatile.Read(ref done);
            await captioner.CaptionAsync(Request(i), Token);

            // Its place, its turn, its slot: about one round of the slots each. The slack is for the threads of a busy machine.
            Assert.InRange(Volatile.Read(ref done) - before, 0, 20 + 10 * slots);
        }

        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => batch);
        AssertIdle(captioner);
    }

    [Fact]
    public async Task A_stream_with_bad_images_captions_every_good_one_and_names_every_bad_one()
    {
        await using var captioner = await LoadAsync(slots: 4);
        var whole = await File.ReadAllBytesAsync(Images[0], Token);
        var bad = new Dictionary<string, MedicalImage>
        {
            ["truncated"] = MedicalImage.FromBytes(whole.AsMemory(0, whole.Length / 2)),
            ["cut in its header"] = MedicalImage.FromBytes(whole.AsMemory(0, 20)),
            ["text"] = MedicalImage.FromBytes("id,caption\n1,none\n"u8.ToArray()),
            ["zero bytes"] = MedicalImage.FromBytes(ReadOnlyMemory<byte>.Empty),
            ["bomb"] = MedicalImage.FromBytes(PngBomb()),
            ["missing"] = MedicalImage.FromFile(Path.Combine(TestFolders.Phantoms, "there is no such file.png")),
        };
        var alone = await captioner.CaptionAsync(Request(0), Token);

        var requests = new List<CaptionRequest>();
        foreach (var (name, image) in bad)
        {
            requests.AddRange(Enumerable.Repeat(Request(0), 9));
            requests.Add(new CaptionRequest(image) { Id = name });
        }
        var results = await captioner.CaptionBatchAsync(requests, Token).ToListAsync(Token);

        Assert.Equal(requests.Count, results.Count);
        Assert.All(results.Where(result => result.Request.Id == ""), result => Assert.Equal(alone.TokenIds, result.Caption?.TokenIds));
        Assert.Equal(bad.Keys.Order(), results.Where(result => result.Request.Id != "").Select(result => result.Request.Id).Order());
        Assert.All(results.Where(result => result.Request.Id != ""), result => Assert.IsType<ImageException>(result.Error));
        AssertIdle(captioner);
    }

    [Theory, InlineData(CaptionOrder.AsFinished), InlineData(CaptionOrder.AsRequested)]
    public async Task A_reader_that_is_slow_holds_the_source_and_one_that_leaves_frees_everything(CaptionOrder order)
    {
        const int Slots = 2;
        await using var captioner = await LoadAsync(Slots);
        int pulled = 0, read = 0;
        bool disposed = false;

        await foreach (var result in captioner.CaptionBatchAsync(Endless(Token), new CaptionBatchOptions { Order = order }, Token))
        {
            Assert.True(result.Succeeded);
            Assert.InRange(Volatile.Read(ref pulled), ++read, read + 4 * Slots + 1);
            if (read == 30)
                break;
        }

        Assert.True(disposed);
        AssertIdle(captioner);

        async IAsyncEnumerable<CaptionRequest> Endless([EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            try
            {
                while (true)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    Interlocked.Increment(ref pulled);
                    yield return Request(pulled);
                    await Task.Yield();
                }
            }
            finally
            {
                disposed = true;
            }
        }
    }

    [Fact]
    public async Task Captions_of_the_same_image_under_way_share_its_features()
    {
        const int Requests = 40;
        var request = Request(0);

        await using (var sharing = await LoadAsync(slots: 4))
        {
            await sharing.CaptionBatchAsync(Enumerable.Repeat(request, Requests), Token).ToListAsync(Token);
            Assert.Equal((1, Requests - 1, 1), (sharing.Engine.Times.VisionRuns, sharing.Engine.VisionCache.Hits, sharing.Engine.VisionCache.Misses));
        }

        await using var apart = await LoadAsync(slots: 1, visionCacheMiB: 0);
        await apart.CaptionBatchAsync(Enumerable.Repeat(request, Requests), Token).ToListAsync(Token);
        Assert.Equal((Requests, 0), (apart.Engine.Times.VisionRuns, apart.Engine.VisionCache.Hits));
    }

    [Fact]
    public async Task A_captioner_that_is_disposed_ends_all_who_wait()
    {
        var captioner = await LoadAsync(slots: 1);
        var calls = Enumerable.Range(0, 50).Select(i => captioner.CaptionAsync(Request(i), Token)).ToList();

        await captioner.DisposeAsync();

        foreach (var call in calls)
            if (await Record.ExceptionAsync(() => call) is { } error)
                Assert.IsType<ObjectDisposedException>(error);
        Assert.Equal((0, 0), (captioner.Engine.QueueLength, captioner.Engine.Gate.Waiting));
    }

    /// <summary>All slots and places are free again. The last steps of a caption that ends are not its reader's to wait for.</summary>
    static void AssertIdle(MedicalCaptioner captioner)
    {
        var engine = captioner.Engine;
        SpinWait.SpinUntil(() => engine.Running == 0 && engine.Gate.Free == 2 * engine.Slots, TimeSpan.FromSeconds(30));
        Assert.Equal((0, 0, 0, 2 * engine.Slots), (engine.Running, engine.QueueLength, engine.Gate.Waiting, engine.Gate.Free));
        Assert.Equal(engine.VisionCache.Bytes, captioner.Model.Features.Used);
    }

    static CaptionRequest Request(int i) => new(MedicalImage.FromFile(Images[i % Images.Count])) { Options = new CaptionOptions { MaxNewTokens = 8 } };

    /// <summary>A PNG whose header promises 60,000 x 60,000 pixels.</summary>
    static byte[] PngBomb()
    {
        byte[] header = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, .. "IHDR"u8, 0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60, 8, 2, 0, 0, 0];
        uint crc = 0xFFFFFFFF;
        foreach (byte value in header.AsSpan(12))
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
        }
        crc = ~crc;
        return [.. header, (byte)(crc >> 24), (byte)(crc >> 16), (byte)(crc >> 8), (byte)crc];
    }
}
