using System.Diagnostics;
using MedVlm.Inference;

namespace MedVlm.Benchmarks.Commands;

/// <summary>One load of a checkpoint in this process. In INT8 and INT4 the first of two quantises, the second finds the cache.</summary>
internal static class LoadCommand
{
    /// <summary>Printed when everything is ready to begin: whoever wants to end this process half-way waits for it.</summary>
    public const string Begins = "begins";

    public static void Run(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        OnnxRuntimeEnvironment.Ensure();
        Console.WriteLine(Begins);

        long start = Stopwatch.GetTimestamp();
        using var model = LoadedModel.Load(folder, null, arguments.Runtime(), CancellationToken.None);
        new Measurement("load", Math.Round(Stopwatch.GetElapsedTime(start).TotalMilliseconds), "ms")
        {
            Model = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)), Precision = arguments.PrecisionName(), Threads = arguments.Threads(),
            ProcessorMs = Math.Round(Environment.CpuUsage.TotalTime.TotalMilliseconds),
        }.Print();
    }
}
