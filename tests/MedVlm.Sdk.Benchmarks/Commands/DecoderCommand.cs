using System.Diagnostics;
using MedVlm.Inference;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Benchmarks.Commands;

/// <summary>The decoder alone: decode steps of several captions at once, and the prefill of one prompt.</summary>
internal static class DecoderCommand
{
    public static void Run(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        var (rowsList, prefills) = (arguments.Numbers("rows", 1, 4, 8), arguments.Numbers("prefill", 900));
        int past = arguments.Number("past") ?? 900, runs = arguments.Number("runs") ?? 20;
        int steps = 0;
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder));
        using (var model = Load(folder, arguments))
        {
            using var cache = model.CreateCache(rowsList.Append(1).Max(), (Math.Max(past + 1, prefills.Append(1).Max()) + 255) / 256 * 256);
            using var cross = model.CreateCross(rowsList.Append(1).Max());
            using var runOptions = new RunOptions();

            foreach (int rows in rowsList)
            {
                using var step = new DecoderRun(model.Decoder, model.Family, cache, cross, 0, rows, tokens: 1);
                Fill(step, model.Family, past);
                int[] lengths = [.. Enumerable.Repeat(past, rows)];
                var result = Measurement.Time(
                    "decode step", "ms", () => step.Run(lengths, runOptions), seconds => seconds * 1000, runs, warmups: 3);
                (result with { Model = name, Precision = arguments.PrecisionName(), Batch = rows, Threads = arguments.Threads(), Notes = new { past } }).Print();
                steps += runs + 3;
            }

            foreach (int tokens in prefills)
            {
                using var prefill = new DecoderRun(model.Decoder, model.Family, cache, cross, 0, rows: 1, tokens);
                Fill(prefill, model.Family, 0);
                var result = Measurement.Time(
                    "prefill", "tokens/s", () => prefill.Run([0], runOptions), seconds => tokens / seconds, Math.Max(runs / 4, 3));
                (result with { Model = name, Precision = arguments.PrecisionName(), Batch = 1, Threads = arguments.Threads(), Notes = new { tokens } }).Print();
                steps += Math.Max(runs / 4, 3) + 1;
            }
        }
        if (arguments.Text("profile") is { } profile)
            ProfileSummary.Print(profile, "decoder", steps);
    }

    /// <summary>Loads a model, and reports time and memory of that.</summary>
    public static LoadedModel Load(string folder, Arguments arguments)
    {
        long start = Stopwatch.GetTimestamp();
        var model = LoadedModel.Load(folder, null, arguments.Runtime(), CancellationToken.None);
        new Measurement("load", Math.Round(Stopwatch.GetElapsedTime(start).TotalMilliseconds), "ms")
        {
            Model = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)), Precision = arguments.PrecisionName(), Threads = arguments.Threads(),
        }.Print();
        ProcessMemory.ResetPeak();
        return model;
    }

    /// <summary>Any embeddings, and the positions from <paramref name="position"/> on.</summary>
    public static void Fill(DecoderRun run, ModelFamily family, int position)
    {
        var random = new Random(1);
        foreach (ref float value in run.Embeddings)
            value = random.NextSingle() * 2 - 1;
        if (family.Rotary is { Angles: var angles } rotary)
            for (int token = 0; token < run.Cos.Length / angles; token++)
                rotary.Fill(position + token, position + token + 1, run.Cos.Slice(token * angles, angles), run.Sin.Slice(token * angles, angles));
    }
}
