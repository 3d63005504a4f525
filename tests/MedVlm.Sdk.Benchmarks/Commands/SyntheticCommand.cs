using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using MedVlm.Inference;

namespace MedVlm.Benchmarks.Commands;

/// <summary>
/// Runs a synthetic full-size checkpoint on the goldens' cases: must say what the reference says, and how fast it is. A family whose reference
/// has not been run at full size is only timed.
/// </summary>
internal static class SyntheticCommand
{
    static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static async Task<int> RunAsync(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        long start = Stopwatch.GetTimestamp();
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = folder, Slots = 1, Threads = arguments.Number("threads"), Precision = arguments.Precision() });
        Print("load", Stopwatch.GetElapsedTime(start).TotalMilliseconds, "ms", null);

        if (GoldensOf(folder) is not { } name)
        {
            var image = MedicalImage.FromPixels(LayersCommand.NoisePixels(1024, 768), 1024, 768, PixelFormat.Rgb24);
            var caption = await captioner.CaptionAsync(image, new CaptionOptions { Prompt = LayerwiseCommand.Prompt, MaxNewTokens = 16 });
            Print("noise: generated", caption.TokenIds.Count, "tokens", new { prompt_tokens = caption.PromptTokens, ids = caption.TokenIds });
            PrintTimings("noise", caption, tiles: null);
            return 0;
        }

        var goldens = Places.InCheckout("tests", "goldens", "components", "synthetic");
        var cases = JsonSerializer.Deserialize<Goldens>(File.ReadAllText(Path.Combine(goldens, $"{name}.json")), s_json)!.Cases
            .Where(golden => arguments.Text("case") is not { } wanted || golden.Name == wanted)
            .ToList();
        int failures = 0;
        foreach (var golden in cases)
        {
            var trace = new GenerationTrace();
            var caption = await CaptionAsync(captioner, golden, Path.Combine(goldens, name, golden.Image), trace);
            var faults = Faults(golden, trace, caption).ToList();
            foreach (var fault in faults)
                Console.Error.WriteLine($"{golden.Name}: {fault}");
            failures += faults.Count;

            Print($"{golden.Name}: agrees with the reference", faults.Count == 0 ? 1 : 0, "1 = yes", new
            {
                prompt_tokens = caption.PromptTokens,
                tiles = golden.Tiles,
                image_features = golden.ImageFeatures.Shape[^2],
                worst_relative_difference = Math.Round(Worst(golden, trace), 8),
            });
            PrintTimings(golden.Name, caption, golden.Tiles);
        }
        return failures == 0 ? 0 : 1;

        void PrintTimings(string run, Caption caption, int? tiles)
        {
            var timings = caption.Timings;
            Print($"{run}: decode", timings.Decode.TotalMilliseconds / Math.Max(caption.TokenIds.Count - 1, 1), "ms/token", null);
            Print($"{run}: prefill", caption.PromptTokens / timings.Prefill.TotalSeconds, "tokens/s", null);
            if (tiles is not null)
                Print($"{run}: vision", tiles.Value / timings.Vision.TotalSeconds, "tiles/s", null);
            else
                Print($"{run}: vision", timings.Vision.TotalMilliseconds, "ms", null);
            Print($"{run}: preprocess", timings.Preprocess.TotalMilliseconds, "ms", null);
        }

        void Print(string what, double value, string unit, object? notes) => new Measurement(what, Math.Round(value, 2), unit)
        {
            Model = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)), Precision = arguments.PrecisionName(), Batch = 1, Threads = arguments.Threads(), Notes = notes,
        }.Print();
    }

    /// <summary>What the goldens call the checkpoint in a folder; null where they have none of its family.</summary>
    static string? GoldensOf(string folder)
    {
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        return config.RootElement.GetProperty("model_type").GetString() switch
        {
            "idefics3" => "smolvlm-500m",
            "qwen2_vl" => "qwen2-vl-2b",
            "blip" => "blip-base",
            _ => null,
        };
    }

    static async Task<Caption> CaptionAsync(MedicalCaptioner captioner, Golden golden, string image, GenerationTrace trace)
    {
        var request = new CaptionRequest(MedicalImage.FromFile(image))
        {
            Options = new CaptionOptions
            {
                Prompt = golden.PromptText,
                MaxNewTokens = golden.GeneratedIds.Length,
                ImageDetail = new ImageDetail { SplitIntoTiles = golden.DoImageSplitting },
            },
        };
        await foreach (var update in captioner.StreamAsync(request, trace, CancellationToken.None))
            if (update.Caption is { } caption)
                return caption;
        throw new UnreachableException();
    }

    static IEnumerable<string> Faults(Golden golden, GenerationTrace trace, Caption caption)
    {
        if (golden.InputIdsSha256 is { } sha256 ? Sha256<int>(trace.PromptIds) != sha256
            : !trace.PromptIds.SequenceEqual(golden.InputIds ?? golden.DecoderInputIds ?? []))
            yield return "the prompt's ids differ";
        if (Sha256<float>(trace.VisionInput("pixel_values")) != golden.PixelValues.Sha256)
            yield return "the pixel values differ";
        if (!golden.GeneratedIds.SequenceEqual(caption.TokenIds))
            yield return $"the generated ids differ: {string.Join(' ', caption.TokenIds)}";

        // 1e-3 of the largest magnitude: FP32 sums in another order than the reference's.
        foreach (var (stage, difference) in Differences(golden, trace))
            if (!(difference <= 1e-3))
                yield return $"the {stage} differ by {difference} of their largest magnitude";
    }

    static double Worst(Golden golden, GenerationTrace trace) => Differences(golden, trace).Max(difference => difference.Value);

    static IEnumerable<(string Stage, double Value)> Differences(Golden golden, GenerationTrace trace) =>
    [
        ("pixel values", golden.PixelValues.Difference(trace.VisionInput("pixel_values"))),
        ("image features", golden.ImageFeatures.Difference(trace.ImageFeatures)),
        ("prompt logits", golden.PromptLogits.Difference(trace.StepLogits[0])),
        ("last step's logits", golden.LastStepLogits.Difference(trace.StepLogits[^1])),
    ];

    static string Sha256<T>(T[] values) where T : unmanaged => Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(values.AsSpan())));

    sealed record Goldens(Golden[] Cases);

    sealed record Golden(
        string Name, string Image, string PromptText, Digest PixelValues, Digest ImageFeatures, int[] GeneratedIds, Digest PromptLogits,
        Digest LastStepLogits, bool? DoImageSplitting = null, int? Tiles = null, string? InputIdsSha256 = null, int[]? InputIds = null,
        int[]? DecoderInputIds = null);

    /// <summary>A tensor in the goldens: its size, and some of its values.</summary>
    sealed record Digest(long[] Shape, double Absmax, int[] Positions, float[] Values, string? Sha256 = null)
    {
        /// <summary>Largest difference at the digest's positions, as a part of the largest magnitude.</summary>
        public double Difference(float[] actual) => actual.Length != Shape.Aggregate(1L, (product, size) => product * size)
            ? double.NaN
            : Positions.Zip(Values, (at, value) => Math.Abs((double)actual[at] - value)).Max() / Absmax;
    }
}
