using System.Text.Json;

namespace MedVlm.Benchmarks;

/// <summary>ONNX Runtime's profile of a graph, summed up by operator.</summary>
internal static class ProfileSummary
{
    const string KernelTime = "_kernel_time", RunEnd = "model_run";

    /// <summary>Prints a line for each operator, the most expensive first.</summary>
    /// <param name="folder">Where the profiles lie.</param>
    /// <param name="graph">Name of the graph; the latest profile of it is taken.</param>
    /// <param name="runs">Runs of the graph that it covers.</param>
    public static void Print(string folder, string graph, int runs)
    {
        var kernels = Runs(folder, graph)
            .SelectMany(run => run)
            .GroupBy(kernel => kernel.Op)
            .Select(group => (Op: group.Key, Count: group.Count(), Milliseconds: group.Sum(kernel => kernel.Milliseconds)))
            .OrderByDescending(kernel => kernel.Milliseconds)
            .ToList();
        double total = kernels.Sum(kernel => kernel.Milliseconds);
        foreach (var (op, count, milliseconds) in kernels)
            new Measurement($"{graph}: {op}", Math.Round(milliseconds / runs, 3), "ms per run")
            {
                Runs = runs, Notes = new { nodes = count / runs, share = Math.Round(milliseconds / total, 4) },
            }.Print();
        new Measurement($"{graph}: all kernels", Math.Round(total / runs, 3), "ms per run") { Runs = runs }.Print();
    }

    /// <summary>The kernels of each run of a graph, in the order in which they ran.</summary>
    /// <inheritdoc cref="Print" path="/param"/>
    public static IReadOnlyList<IReadOnlyList<Kernel>> Runs(string folder, string graph)
    {
        var file = new DirectoryInfo(folder).GetFiles($"{graph}*.json").MaxBy(file => file.LastWriteTimeUtc)
            ?? throw new UsageException($"ONNX Runtime has left no profile of {graph} in {folder}.");
        using var profile = JsonDocument.Parse(File.ReadAllBytes(file.FullName));

        var (runs, kernels) = (new List<IReadOnlyList<Kernel>>(), new List<Kernel>());
        foreach (var entry in profile.RootElement.EnumerateArray())
        {
            var name = entry.GetProperty("name").GetString()!;
            if (name == RunEnd)
            {
                runs.Add(kernels);
                kernels = [];
            }
            else if (entry.GetProperty("cat").GetString() == "Node" && name.EndsWith(KernelTime, StringComparison.Ordinal))
                kernels.Add(new(
                    name[..^KernelTime.Length], entry.GetProperty("args").GetProperty("op_name").GetString()!,
                    entry.GetProperty("args").GetProperty("provider").GetString()!, entry.GetProperty("dur").GetInt64() / 1000.0));
        }
        return runs;
    }
}

/// <summary>One node's part of a run.</summary>
/// <param name="Name">The node.</param>
/// <param name="Op">Its operator.</param>
/// <param name="Provider">The execution provider that ran it.</param>
/// <param name="Milliseconds">How long it took.</param>
internal sealed record Kernel(string Name, string Op, string Provider, double Milliseconds);
