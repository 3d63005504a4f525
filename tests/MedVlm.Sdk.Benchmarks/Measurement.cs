using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace MedVlm.Benchmarks;

/// <summary>One measured number: a line of JSON on the standard output.</summary>
/// <param name="What">What was measured.</param>
/// <param name="Median">Median of the runs, in <paramref name="Unit"/>.</param>
/// <param name="Unit">Unit of median, best and spread.</param>
internal sealed record Measurement(string What, double Median, string Unit)
{
    static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    public string? Model { get; init; }

    public string? Precision { get; init; }

    /// <summary>Captions or tiles that are computed together.</summary>
    public int? Batch { get; init; }

    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>The best run: closest to what the machine can do when nothing else runs.</summary>
    public double? Best { get; init; }

    /// <summary>Distance between the quartiles of the runs.</summary>
    public double? Spread { get; init; }

    public int? Runs { get; init; }

    /// <summary>Processor time of the cheapest run, all threads together, in ms: what other processes take does not count. With more than one
    /// thread it holds their waiting in a loop too (--session-entry session.intra_op.allow_spinning=0 ends that).</summary>
    public double? ProcessorMs { get; init; }

    /// <summary>Peak resident memory of the process up to now.</summary>
    public long PeakMib { get; init; } = ProcessMemory.Now().Peak;

    public long ResidentMib { get; init; } = ProcessMemory.Now().Resident;

    /// <summary>Resident memory that is no page of a file.</summary>
    public long? AnonymousMib { get; init; } = ProcessMemory.Now().Anonymous;

    /// <summary>What else there is to say.</summary>
    public object? Notes { get; init; }

    public string Cpu => Machine.Cpu;

    public int Cores => Machine.Cores;

    public double? Load => Machine.Load;

    public void Print() => Console.WriteLine(JsonSerializer.Serialize(this, s_json));

    /// <summary>Times a piece of work.</summary>
    /// <param name="what">What is measured.</param>
    /// <param name="unit">A unit of time, or of work per second.</param>
    /// <param name="work">The work.</param>
    /// <param name="valueOf">The number to report, from the seconds of a run.</param>
    /// <param name="runs">How often, after <paramref name="warmups"/> times that do not count.</param>
    /// <param name="warmups">Runs that do not count.</param>
    public static Measurement Time(string what, string unit, Action work, Func<double, double> valueOf, int runs, int warmups = 1)
    {
        for (int i = 0; i < warmups; i++)
            work();

        var values = new double[runs];
        double processor = double.PositiveInfinity;
        for (int i = 0; i < runs; i++)
        {
            var before = Environment.CpuUsage.TotalTime;
            long start = Stopwatch.GetTimestamp();
            work();
            values[i] = valueOf(Stopwatch.GetElapsedTime(start).TotalSeconds);
            processor = Math.Min(processor, (Environment.CpuUsage.TotalTime - before).TotalMilliseconds);
        }
        return Of(what, unit, values) with { ProcessorMs = Round(processor) };
    }

    /// <summary>A measurement from its runs.</summary>
    public static Measurement Of(string what, string unit, IReadOnlyList<double> values)
    {
        var sorted = values.Order().ToArray();
        bool moreIsBetter = unit.Contains("/s", StringComparison.Ordinal);
        return new(what, Round(Quantile(sorted, 0.5)), unit)
        {
            Best = Round(moreIsBetter ? sorted[^1] : sorted[0]),
            Spread = Round(Quantile(sorted, 0.75) - Quantile(sorted, 0.25)),
            Runs = sorted.Length,
        };
    }

    static double Quantile(double[] sorted, double share)
    {
        double at = share * (sorted.Length - 1);
        int below = (int)at;
        return below + 1 < sorted.Length ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[below];
    }

    // Four significant digits.
    static double Round(double value)
    {
        if (value == 0)
            return 0;
        double unit = Math.Pow(10, Math.Floor(Math.Log10(Math.Abs(value))) - 3);
        return unit >= 1 ? Math.Round(value / unit) * unit : Math.Round(value, (int)Math.Round(-Math.Log10(unit)));
    }
}
