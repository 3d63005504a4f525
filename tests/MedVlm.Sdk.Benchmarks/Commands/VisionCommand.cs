using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Benchmarks.Commands;

/// <summary>The vision graph alone.</summary>
internal static class VisionCommand
{
    public static void Run(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        int runs = arguments.Number("runs") ?? 5, steps = 0;
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder));
        using (var model = DecoderCommand.Load(folder, arguments))
        {
            using var runOptions = new RunOptions();
            foreach (int tiles in arguments.Numbers("tiles", 1, 4))
            {
                var run = Repeat(OneTile(model.Family), tiles);
                var result = Measurement.Time(
                    "vision", "tiles/s",
                    () => VisionGraph.Run(model.Vision, model.Family, [run], null, 0, runOptions, CancellationToken.None),
                    seconds => tiles / seconds, runs);
                (result with { Model = name, Precision = arguments.PrecisionName(), Batch = tiles, Threads = arguments.Threads() }).Print();
                steps += runs + 1;
            }
        }
        if (arguments.Text("profile") is { } profile)
            ProfileSummary.Print(profile, "vision", steps);
    }

    public static VisionRun OneTile(ModelFamily family)
    {
        var pixels = new byte[64 * 64 * 3];
        new Random(1).NextBytes(pixels);
        return family.Prepare([new RgbImage(64, 64, pixels)], "", new CaptionOptions { ImageDetail = new() { SplitIntoTiles = false } }).Vision.Single();
    }

    static VisionRun Repeat(VisionRun run, int times) => new(
        run.Inputs.ToDictionary(input => input.Key, input => Repeat(input.Value, times)), run.Features * times);

    static HostTensor Repeat(HostTensor tensor, int times) => HostTensor.Stack([.. Enumerable.Repeat(tensor.Made(), times)]);
}
