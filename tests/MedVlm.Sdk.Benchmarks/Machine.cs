namespace MedVlm.Benchmarks;

/// <summary>The machine and this process, as a measurement names them.</summary>
internal static class Machine
{
    public static int Cores => Environment.ProcessorCount;

    public static string Cpu { get; } = File.Exists("/proc/cpuinfo")
        ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown"
        : Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? "unknown";

    /// <summary>Processes that wanted a core, averaged over the last minute: above zero before a run, something else was running.</summary>
    public static double? Load => File.Exists("/proc/loadavg")
        ? double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture)
        : null;
}

/// <summary>Memory of this process, in MiB.</summary>
/// <param name="Peak">Largest resident size since the start, or since <see cref="ResetPeak"/>.</param>
/// <param name="Resident">Resident size now.</param>
/// <param name="Anonymous">Part of it that is no page of a file: what the system cannot take back. Null where the system does not tell.</param>
internal sealed record ProcessMemory(long Peak, long Resident, long? Anonymous)
{
    const string Status = "/proc/self/status";

    public static ProcessMemory Now()
    {
        if (!File.Exists(Status))
        {
            using var process = System.Diagnostics.Process.GetCurrentProcess();
            return new(process.PeakWorkingSet64 >> 20, process.WorkingSet64 >> 20, null);
        }
        var lines = File.ReadAllLines(Status);
        return new(Field("VmHWM"), Field("VmRSS"), Field("RssAnon"));

        long Field(string name) =>
            long.Parse(lines.First(line => line.StartsWith(name + ":", StringComparison.Ordinal)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1])
            >> 10;
    }

    /// <summary>Starts the peak again at what is resident now, where the system lets us.</summary>
    public static void ResetPeak()
    {
        try
        {
            File.WriteAllText("/proc/self/clear_refs", "5");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then the peak is that of the whole process.
        }
    }
}
