using System.Text.Json;

namespace MedVlm.Benchmarks;

/// <summary>ONNX Runtime's profile of a graph, summed up by operator.</summary>
internal static class ProfileSummary
{
    const string Kernel = "_kernel_time";

    /// <summary>Prints a line for each operator, the most expensive first.</summary>
    /// <param name="folder">Where the profiles lie.</param>
    /// <param name="graph">Name of the graph; the latest profile of it is taken.</param>
    /// <param name="runs">Runs of the graph that it covers.</param>
    public static void Print(string folder, string graph, int runs)
    {
        var file = new DirectoryInfo(folder).GetFiles($"{graph}*.json").MaxBy(file => file.LastWriteTimeUtc)
            ?? throw new UsageException($"ONNX Runtime has left no profile of {graph} in {folder}.");
        using var profile = JsonDocument.Parse(File.ReadAllBytes(file.FullName));

        var kernels = profile.RootElement.EnumerateArray()
            .Where(e => e.GetProperty("cat").GetString() == "Node" && e.GetProperty("name").GetString()!.EndsWith(Kernel, StringComparison.Ordinal))
            .Select(e => (Op: e.GetProperty("args").GetProperty("op_name").GetString()!, Microseconds: e.GetProperty("dur").GetInt64()))
            .GroupBy(e => e.Op)
            .Select(group => (Op: group.Key, Count: group.Count(), Milliseconds: group.Sum(e => e.Microseconds) / 1000.0))
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
}
