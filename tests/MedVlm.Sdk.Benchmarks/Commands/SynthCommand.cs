using System.Diagnostics;
using System.Text.Json;
using MedVlm.Benchmarks.Synthetic;

namespace MedVlm.Benchmarks.Commands;

/// <summary>Writes a synthetic checkpoint, or checks one.</summary>
internal static class SynthCommand
{
    // What the goldens call the checkpoint of each family that has them.
    static readonly Dictionary<string, string> s_goldens = new() { ["smolvlm"] = "smolvlm-500m", ["qwen2-vl"] = "qwen2-vl-2b", ["blip"] = "blip-base" };

    public static int Run(Arguments arguments)
    {
        var family = SyntheticFamily.Of(arguments.Word("family"));
        var folder = arguments.Word("folder");
        return arguments.Has("check") ? Check(family, folder) : Write(family, folder, arguments);
    }

    static int Write(SyntheticFamily family, string folder, Arguments arguments)
    {
        var config = Places.Config(family.Name);
        long start = Stopwatch.GetTimestamp();
        SyntheticCheckpoint.Write(
            family, config, arguments.Text("tokenizer") ?? Places.Tokenizer(family.Name), folder, arguments.Number("shard-mib") * 1024L * 1024L);

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        long bytes = SyntheticCheckpoint.Tensors(family, config).Sum(tensor => tensor.Bytes);
        new Measurement("synthetic checkpoint written", Math.Round(seconds, 2), "s") { Model = family.Name, Notes = new { bytes } }.Print();
        return 0;
    }

    static int Check(SyntheticFamily family, string folder)
    {
        if (!s_goldens.TryGetValue(family.Name, out var name))
            throw new UsageException($"There are no goldens of {family.Name}'s synthetic checkpoint.");

        var list = Places.InCheckout("tests", "goldens", "components", "synthetic", name, "tensor_sha256.json");
        var expected = JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(list))!;
        var differences = SyntheticCheckpoint.Differences(folder, expected);
        foreach (var tensor in differences)
            Console.Error.WriteLine($"Not as in the goldens: {tensor}");
        new Measurement("synthetic checkpoint, tensors as in the goldens", expected.Count - differences.Count, "tensors")
        {
            Model = family.Name, Notes = new { expected = expected.Count },
        }.Print();
        return differences.Count == 0 ? 0 : 1;
    }
}
