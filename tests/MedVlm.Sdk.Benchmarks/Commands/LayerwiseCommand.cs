using System.Diagnostics;
using MedVlm.Benchmarks.Synthetic;

namespace MedVlm.Benchmarks.Commands;

/// <summary>A full-size LLaVA-Med in FP32 on a machine that cannot hold it: one layer at a time.</summary>
internal static class LayerwiseCommand
{
    /// <summary>Long enough for more than 600 tokens, those of the image included.</summary>
    public const string Prompt = "You are reading a chest radiograph of an adult patient. Describe the heart, the lungs, the pleura and the bones, "
        + "and name every finding that needs attention.";

    public static void Run(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        int tokens = arguments.Number("tokens") ?? 4;
        using var model = new LayerwiseLlavaMed(folder, arguments.Runtime());
        var inputs = model.Prepare(LayersCommand.Noise(1024, 768), Prompt);
        var (start, ids) = (Stopwatch.GetTimestamp(), new List<int>());

        var features = model.Vision(inputs);
        Print("vision", new { features = inputs.Vision[0].Features });
        foreach (var logits in model.Steps(inputs, features, tokens))
        {
            ids.Add(LayerwiseLlavaMed.Likeliest(logits));
            Print(ids.Count == 1 ? "prefill" : "decode step", new { tokens = ids.Count == 1 ? inputs.PromptIds.Length : 1, finite = logits.All(float.IsFinite) });
        }
        Print("greedy tokens", new { ids });

        // What has gone by since the last line: all of it, and the part in which graphs ran. The rest is reading weights.
        void Print(string what, object notes)
        {
            new Measurement($"layer by layer: {what}", Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 2), "s")
            {
                Model = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)), Precision = "fp32", Batch = 1, Threads = arguments.Threads(),
                Notes = new { running = Math.Round(model.Running.TotalSeconds, 2), loading = Math.Round(model.Loading.TotalSeconds, 2), of = notes },
            }.Print();
            model.RestartClocks();
            start = Stopwatch.GetTimestamp();
        }
    }
}
