using MedVlm.Benchmarks.Synthetic;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Benchmarks.Commands;

/// <summary>
/// One layer of a family's vision tower and one of its decoder, in their true size, on an image and a prompt as they come: how long they
/// take, and how much of that is matrix products, which is what no better graph can save.
/// </summary>
internal static class LayersCommand
{
    public static void Run(Arguments arguments)
    {
        var family = SyntheticFamily.Of(arguments.Word("family"));
        var tokenizer = arguments.Text("tokenizer") ?? Places.Tokenizer(family.Name);
        var image = Noise(arguments.Number("width") ?? 1024, arguments.Number("height") ?? 768);
        var scratch = Directory.CreateTempSubdirectory("medvlm-layers-").FullName;
        try
        {
            var checkpoint = Path.Combine(scratch, "checkpoint");
            SyntheticCheckpoint.Write(family, Places.Config(family.Name), tokenizer, checkpoint, null, oneLayer: true);
            var settings = arguments.Runtime() with { ProfileFolder = scratch, Cache = new QuantisedCache(Path.Combine(scratch, "cache")) };
            Measure(family, checkpoint, image, settings, arguments);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    static void Measure(SyntheticFamily family, string checkpoint, RgbImage image, RuntimeSettings settings, Arguments arguments)
    {
        int runs = arguments.Number("runs") ?? 10;
        ModelInputs inputs;
        int prefill;
        using (var model = LoadedModel.Load(checkpoint, null, settings, CancellationToken.None))
        {
            inputs = model.Family.Prepare([image], model.Family.DefaultPrompt ?? CaptionOptions.DefaultPrompt, new CaptionOptions());

            // Where the image sees itself both ways it is a run of its own, and all but a few tokens of the prompt.
            prefill = model.Family.PrefixLength > 0 ? model.Family.PrefixLength : inputs.PromptIds.Length;

            using var runOptions = new RunOptions();
            for (int i = 0; i <= runs; i++)
                VisionGraph.Run(model.Vision, model.Family, [inputs.Vision[0]], null, 0, runOptions, CancellationToken.None);

            using var cache = model.CreateCache(1, (prefill + 1 + 255) / 256 * 256);
            using var cross = model.CreateCross(1);
            Repeat(prefill, past: 0);
            Repeat(1, past: prefill);

            void Repeat(int tokens, int past)
            {
                using var run = new DecoderRun(model.Decoder, model.Family, cache, cross, 0, rows: 1, tokens);
                DecoderCommand.Fill(run, model.Family, past);
                for (int i = 0; i <= runs; i++)
                    run.Run([past], runOptions, seesAll: tokens > 1 && model.Family.PrefixLength > 0);
            }
        }

        // The first run of each kind does not count.
        var (vision, decoder) = (ProfileSummary.Runs(settings.ProfileFolder!, "vision"), ProfileSummary.Runs(settings.ProfileFolder!, "decoder"));
        Print("vision layer", family.VisionLayers, vision.Skip(1), new { image = $"{image.Width}x{image.Height}", features = inputs.Vision[0].Features, runs_per_image = inputs.Vision.Count });
        Print("decoder layer, prefill", family.DecoderLayers, decoder.Skip(1).Take(runs), new { tokens = prefill });
        Print("decoder layer, decode step", family.DecoderLayers, decoder.Skip(runs + 2), new { past = prefill });

        void Print(string what, string layers, IEnumerable<IReadOnlyList<Kernel>> profile, object of)
        {
            var perRun = profile.Select(run => Layer(run, $"{layers}.0.")).ToList();
            var best = perRun[0].Select((kernel, i) => (kernel.Op, Milliseconds: perRun.Min(run => run[i].Milliseconds))).ToList();
            double total = best.Sum(kernel => kernel.Milliseconds);
            var result = Measurement.Of(what, "ms", [.. perRun.Select(run => run.Sum(kernel => kernel.Milliseconds))]);
            (result with
            {
                Model = family.Name, Precision = arguments.PrecisionName(), Batch = 1, Threads = arguments.Threads(),
                Notes = new
                {
                    of,
                    best_of_each_node = Math.Round(total, 3),
                    matrix_products = Share(IsMatrixProduct),
                    attention = Share(IsAttention),
                    other = Share(op => !IsMatrixProduct(op) && !IsAttention(op)),
                    operators = best.GroupBy(kernel => kernel.Op)
                        .OrderByDescending(group => group.Sum(kernel => kernel.Milliseconds))
                        .ToDictionary(group => group.Key, group => Math.Round(group.Sum(kernel => kernel.Milliseconds), 3)),
                },
            }).Print();

            double Share(Func<string, bool> kind) => Math.Round(best.Where(kernel => kind(kernel.Op)).Sum(kernel => kernel.Milliseconds) / total, 3);
        }
    }

    /// <summary>The part of a run from a layer's first node that has a weight (its norm) to its last.</summary>
    static List<Kernel> Layer(IReadOnlyList<Kernel> run, string path)
    {
        var ofLayer = run.Index().Where(kernel => kernel.Item.Name.StartsWith(path, StringComparison.Ordinal)).Select(kernel => kernel.Index).ToList();
        return [.. run.Skip(ofLayer[0]).Take(ofLayer[^1] + 1 - ofLayer[0])];
    }

    static bool IsMatrixProduct(string op) => op.Contains("MatMul", StringComparison.Ordinal) || op.Contains("Gemm", StringComparison.Ordinal);

    static bool IsAttention(string op) => op.EndsWith("Attention", StringComparison.Ordinal);

    /// <summary>An image of random pixels.</summary>
    public static RgbImage Noise(int width, int height) => new(width, height, NoisePixels(width, height));

    /// <summary>The same, R, G, B of each pixel.</summary>
    public static byte[] NoisePixels(int width, int height)
    {
        var pixels = new byte[width * height * RgbImage.Channels];
        new Random(1).NextBytes(pixels);
        return pixels;
    }
}
