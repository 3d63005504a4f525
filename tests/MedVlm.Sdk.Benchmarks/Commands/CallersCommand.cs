using System.Diagnostics;

namespace MedVlm.Benchmarks.Commands;

/// <summary>Many callers of the TinyModel at once, with mixed prompts and image sizes: every result must be its image's, and all be free again afterwards.</summary>
internal static class CallersCommand
{
    static readonly string[] s_prompts = [CaptionOptions.DefaultPrompt, "Which body region is shown?", "What imaging modality is this?", "Describe the image."];

    public static async Task<int> RunAsync(Arguments arguments)
    {
        int callers = arguments.Number("callers") ?? 8, captions = arguments.Number("captions") ?? 10_000, slots = arguments.Number("slots") ?? 8;
        var images = SteadyCommand.Images();
        await using var captioner = await MedicalCaptioner.LoadAsync(SteadyCommand.Options(arguments, slots));
        var engine = captioner.Engine;

        // What each image says to each prompt alone.
        var combinations = images.Index().SelectMany(image => s_prompts.Index().Select(prompt => (Id: $"{image.Index}/{prompt.Index}", image.Item, Prompt: prompt.Item))).ToList();
        var expected = new Dictionary<string, string>();
        foreach (var (id, image, prompt) in combinations)
            expected[id] = string.Join(' ', (await captioner.CaptionAsync(Request(id, image, prompt))).TokenIds);
        var before = Settle();

        int mixedUp = 0, failed = 0, done = 0;
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(async () =>
        {
            var random = new Random(caller);
            int share = captions / callers + (caller < captions % callers ? 1 : 0);
            var requests = Enumerable.Range(0, share).Select(_ => combinations[random.Next(combinations.Count)]).Select(one => Request(one.Id, one.Item, one.Prompt));
            if (caller % 2 == 0)
                await foreach (var result in captioner.CaptionBatchAsync(
                    requests, new CaptionBatchOptions { Order = caller % 4 == 0 ? CaptionOrder.AsFinished : CaptionOrder.AsRequested }))
                    Check(result.Request, result.Caption);
            else
                foreach (var request in requests)
                    Check(request, await captioner.CaptionAsync(request));
        })));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var after = Settle();

        bool idle = engine.Running == 0 && engine.QueueLength == 0 && engine.Gate.Waiting == 0 && engine.Gate.Free == 2 * engine.Slots;
        new Measurement("captions, many callers at once", Math.Round(done / seconds, 2), "captions/s")
        {
            Model = "TinyModel", Precision = "fp32", Batch = slots, Threads = arguments.Threads(),
            Notes = new
            {
                callers, done, mixed_up = mixedUp, failed, idle, seconds = Math.Round(seconds, 1), vision_runs = engine.Times.VisionRuns,
                vision_cache = new { engine.VisionCache.Hits, engine.VisionCache.Misses, kib = engine.VisionCache.Bytes >> 10 },
                anonymous_mib = new { before = before.Anonymous, after = after.Anonymous }, managed_kib = new { before = before.Managed, after = after.Managed },
            },
        }.Print();
        return mixedUp + failed == 0 && done == captions && idle ? 0 : 1;

        void Check(CaptionRequest request, Caption? caption)
        {
            Interlocked.Increment(ref done);
            if (caption is null)
                Interlocked.Increment(ref failed);
            else if (string.Join(' ', caption.TokenIds) != expected[request.Id])
                Interlocked.Increment(ref mixedUp);
        }

        static CaptionRequest Request(string id, MedicalImage image, string prompt) =>
            new(image) { Id = id, Options = new CaptionOptions { Prompt = prompt, MaxNewTokens = 24 } };
    }

    /// <summary>Memory after a full collection: what is left is held by something.</summary>
    static (long? Anonymous, long Managed) Settle()
    {
        for (int i = 0; i < 2; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        return (ProcessMemory.Now().Anonymous, GC.GetTotalMemory(forceFullCollection: true) >> 10);
    }
}
