using System.Diagnostics;
using MedVlm.Inference;

namespace MedVlm.Benchmarks.Commands;

/// <summary>
/// A checkpoint on images of mixed sizes: one call after another, a batch with one slot, a batch with several; the share of the time that is
/// ONNX Runtime's, and what the host adds to each token.
/// </summary>
internal static class ThroughputCommand
{
    static readonly (int Width, int Height)[] s_sizes = [(512, 512), (640, 400), (400, 640), (300, 700), (1024, 768), (256, 256), (800, 600), (337, 113)];

    public static async Task RunAsync(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        int images = arguments.Number("images") ?? 64, tokens = arguments.Number("tokens") ?? 32;
        int? edge = arguments.Number("edge");
        var requests = Enumerable.Range(0, images).Select(i => Request(i, tokens, edge)).ToList();

        double? oneSlot = null;
        foreach (int slots in arguments.Numbers("slots", 1, 8))
        {
            await using var captioner = await MedicalCaptioner.LoadAsync(new MedicalCaptionerOptions
            {
                Model = folder, Precision = arguments.Precision(), Threads = arguments.Number("threads"), Slots = slots,
                VisionCacheMiB = arguments.Number("vision-cache-mib") ?? 0,
            });
            await captioner.CaptionAsync(requests[0]);

            if (slots == 1)
                Print("images, one call after another", await MeasureAsync(captioner.Engine, images, async () =>
                {
                    foreach (var request in requests)
                        await captioner.CaptionAsync(request);
                }), slots, null);

            var batch = await MeasureAsync(captioner.Engine, images, async () =>
            {
                await foreach (var result in captioner.CaptionBatchAsync(requests))
                    if (!result.Succeeded)
                        throw result.Error;
            });
            if (slots == 1)
                oneSlot = batch.Rate;
            Print("images, as a batch", batch, slots, batch.Rate / oneSlot);
        }

        void Print(string what, Run run, int slots, double? gain) => new Measurement(what, Math.Round(run.Rate, 4), "images/s")
        {
            Model = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)), Precision = arguments.PrecisionName(), Batch = slots,
            Threads = arguments.Threads(), ProcessorMs = Math.Round(run.ProcessorMs),
            Notes = new
            {
                images, tokens, edge, times_one_slot = Rounded(gain), seconds = Rounded(run.Seconds), share_in_onnx_runtime = Rounded(run.ShareInRuntime),
                step_ms = Rounded(run.StepMs), tokens_per_step = Rounded(run.TokensPerStep), host_share_of_step = Rounded(run.HostShareOfStep),
                vision_s = Rounded(run.VisionSeconds), prefill_s = Rounded(run.PrefillSeconds), decode_s = Rounded(run.DecodeSeconds), vision_runs = run.VisionRuns,
            },
        }.Print();

        static double? Rounded(double? value) => value is { } number ? Math.Round(number, 4) : null;
    }

    /// <summary>Noise with a gradient: every image another, in sizes that become different numbers of tiles.</summary>
    static CaptionRequest Request(int i, int tokens, int? edge)
    {
        var (width, height) = s_sizes[i % s_sizes.Length];
        var pixels = new byte[width * height * 3];
        new Random(i).NextBytes(pixels);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width * 3; x++)
                pixels[y * width * 3 + x] = (byte)((pixels[y * width * 3 + x] + 255 * y / height) / 2);
        return new CaptionRequest(MedicalImage.FromPixels(pixels, width, height, PixelFormat.Rgb24))
        {
            Id = $"{i}", Options = new CaptionOptions { MaxNewTokens = tokens, ImageDetail = new ImageDetail { LongestEdge = edge } },
        };
    }

    static async Task<Run> MeasureAsync(Engine engine, int images, Func<Task> work)
    {
        var before = Snapshot(engine.Times);
        var processor = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        await work();
        return new Run(
            images, Stopwatch.GetElapsedTime(start).TotalSeconds, (Environment.CpuUsage.TotalTime - processor).TotalMilliseconds, before, Snapshot(engine.Times));
    }

    static Times Snapshot(EngineTimes times) => new(
        times.Vision.TotalSeconds, times.Prefill.All.TotalSeconds, times.Prefill.Runs.TotalSeconds, times.Step.All.TotalSeconds, times.Step.Runs.TotalSeconds,
        times.Count.Steps, times.Count.Tokens, times.VisionRuns);

    sealed record Times(double Vision, double Prefill, double PrefillRuns, double Step, double StepRuns, long Steps, long Tokens, long VisionRuns);

    sealed record Run(int Images, double Seconds, double ProcessorMs, Times Before, Times After)
    {
        public double Rate => Images / Seconds;

        public double VisionSeconds => After.Vision - Before.Vision;

        public double PrefillSeconds => After.Prefill - Before.Prefill;

        public double DecodeSeconds => After.Step - Before.Step;

        public long VisionRuns => After.VisionRuns - Before.VisionRuns;

        double StepRuns => After.StepRuns - Before.StepRuns;

        public double ShareInRuntime => (VisionSeconds + After.PrefillRuns - Before.PrefillRuns + StepRuns) / Seconds;

        public double StepMs => DecodeSeconds * 1000 / Math.Max(After.Steps - Before.Steps, 1);

        public double TokensPerStep => (After.Tokens - Before.Tokens) / (double)Math.Max(After.Steps - Before.Steps, 1);

        public double HostShareOfStep => 1 - StepRuns / DecodeSeconds;
    }
}
