using System.Diagnostics;
using MedVlm.Checkpoints;
using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;

namespace MedVlm.Benchmarks.Commands;

/// <summary>
/// Loads of a checkpoint as an application makes them: the processor's description, the memory plan and the sessions. In INT8 and INT4 the
/// first of all quantises, the next one finds the cache. The first load of a process also compiles the code that it runs.
/// </summary>
internal static class LoadCommand
{
    /// <summary>Printed when everything is ready to begin: whoever wants to end this process half-way waits for it.</summary>
    public const string Begins = "begins";

    public static void Run(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        OnnxRuntimeEnvironment.Ensure();
        Console.WriteLine(Begins);

        for (int run = 1; run <= (arguments.Number("runs") ?? 1); run++)
            if (arguments.Has("parts"))
                Parts(folder, arguments, run);
            else
                Whole(folder, arguments, run);
    }

    static void Whole(string folder, Arguments arguments, int run)
    {
        var processor = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        var options = Options(folder, arguments);
        using var model = LoadedModel.Load(
            folder, null, checkpoint => ModelPlanner.SourceOf(options, checkpoint), arguments.Runtime(), CancellationToken.None,
            (family, notes, tensors) => ModelPlanner.Plan(options, CpuDetector.Detect(), family, notes, tensors));
        Print("load", start, processor, folder, arguments, run);
    }

    /// <summary>The same one after the other, where a load does some of it at the same time.</summary>
    static void Parts(string folder, Arguments arguments, int run)
    {
        var (options, settings) = (Options(folder, arguments), arguments.Runtime());
        using var checkpoint = Timed("headers", () => Checkpoint.Open(folder));
        var family = Timed("configuration and tokenizer", () => ModelRegistry.Create(ModelPlanner.SourceOf(options, checkpoint)));
        var tensors = family.Tensors(checkpoint);
        var plan = Timed("plan", () => ModelPlanner.Plan(options, CpuDetector.Detect(), family, new CheckpointNotes(), tensors));
        var graphs = Timed("graphs", () => ModelGraphs.Build(
            family, tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo(tensor.Value.File.FileName, tensor.Value.Shape)), settings.Precision));
        using var weights = Timed<WeightSource>("weights", () => settings.Precision == Precision.Fp32
            ? new WeightMemory(tensors, new Dictionary<string, LoraDelta>())
            : QuantisedWeights.Load(
                settings.Cache, arguments.PrecisionName(), graphs.Vision.Weights.Concat(graphs.Decoder.Weights), tensors, new Dictionary<string, LoraDelta>(),
                checkpoint.Folder, CancellationToken.None));
        settings = settings with { PacksInParallel = settings.Precision != Precision.Fp32 && LoadedModel.HasRoomToPack(plan) };
        using var vision = Timed("vision session", () => new GraphSession(graphs.Vision, weights, settings));
        using var decoder = Timed("decoder session", () => new GraphSession(graphs.Decoder, weights, settings));

        T Timed<T>(string part, Func<T> work)
        {
            var processor = Environment.CpuUsage.TotalTime;
            long start = Stopwatch.GetTimestamp();
            var made = work();
            Print($"load, {part}", start, processor, folder, arguments, run);
            return made;
        }
    }

    static MedicalCaptionerOptions Options(string folder, Arguments arguments) =>
        new() { Model = folder, Threads = arguments.Number("threads"), Precision = arguments.Precision(), Device = DeviceChoice.Cpu };

    static void Print(string what, long start, TimeSpan processor, string folder, Arguments arguments, int run) =>
        new Measurement(what, Math.Round(Stopwatch.GetElapsedTime(start).TotalMilliseconds), "ms")
        {
            Model = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)), Precision = arguments.PrecisionName(), Threads = arguments.Threads(),
            ProcessorMs = Math.Round((Environment.CpuUsage.TotalTime - processor).TotalMilliseconds), Notes = new { run },
        }.Print();
}
