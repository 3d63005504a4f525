using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Devices;

/// <summary>The processor: its cores, instruction sets, and the memory that this process may have.</summary>
/// <param name="root">Where /proc and /sys lie: "/", or a copy of some machine's.</param>
internal sealed class CpuDetector(string root)
{
    public static ComputeDevice Detect() => OperatingSystem.IsLinux() ? new CpuDetector("/").ReadLinux().WithAtMost(Environment.ProcessorCount) : ReadRuntime();

    /// <summary>What the .NET runtime knows on every system, and the memory as the system tells it.</summary>
    static ComputeDevice ReadRuntime()
    {
        var memory = MainMemory.Read();
        return new ComputeDevice(
            DeviceKind.Cpu, Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? $"{RuntimeInformation.ProcessArchitecture} processor",
            memory.Total, memory.Free)
        {
            Cores = Environment.ProcessorCount, InstructionSets = [.. RuntimeInstructionSets()],
        };
    }

    public ComputeDevice ReadLinux()
    {
        var info = Lines("proc/cpuinfo");
        var meminfo = Lines("proc/meminfo").Select(line => line.Split(':', 2)).Where(pair => pair.Length == 2).ToDictionary(pair => pair[0], pair => Kib(pair[1]));
        long total = meminfo.GetValueOrDefault("MemTotal"), available = meminfo.GetValueOrDefault("MemAvailable");
        if (total == 0)
            return ReadRuntime();

        int all = PhysicalCores(info, _ => true), cores = all;
        if (AllowedProcessors() is { Count: > 0 } allowed && allowed.IsSubsetOf(Processors(info)))   // containers of LXC have numbers of their own in one list only
            cores = Math.Max(PhysicalCores(info, allowed.Contains), 1);
        foreach (var group in Groups())
        {
            if (group.MemoryLimit is { } limit)
            {
                // Pages of files count as used, but are given back, also those that were read more than once, as a checkpoint that was hashed and is
                // mapped. Shared memory is not among them: the kernel lists it with what is anonymous. A group above may have more and be fuller.
                total = Math.Min(total, limit);
                available = Math.Min(available, Math.Max(limit - Math.Max(group.MemoryUsed - group.FilePages, 0), 0));
            }
            if (group.Cores is { } quota)
                cores = Math.Min(cores, Math.Max((int)Math.Ceiling(quota), 1));
        }

        return new ComputeDevice(DeviceKind.Cpu, Field(info, "model name") ?? $"{RuntimeInformation.ProcessArchitecture} processor", total, available)
        {
            Cores = all, InstructionSets = [.. InstructionSets(Field(info, "flags"))],
        }.WithAtMost(cores);
    }

    // ---- Cores ----

    /// <summary>Cores without their second threads; all processors where the file does not tell.</summary>
    /// <param name="info">The lines of /proc/cpuinfo.</param>
    /// <param name="counts">Which processors, by number, are counted.</param>
    static int PhysicalCores(IReadOnlyList<string> info, Func<int, bool> counts)
    {
        var cores = new HashSet<(string?, string?)>();
        int processors = 0;
        bool counted = true;
        string? socket = null;
        foreach (var line in info)
        {
            if (Value(line, "processor") is { } number)
                processors += (counted = Parse(number) is not { } known || counts((int)known)) ? 1 : 0;
            else if (Value(line, "physical id") is { } id)
                socket = id;
            else if (counted && Value(line, "core id") is { } core)
                cores.Add((socket, core));
        }
        return cores.Count > 0 ? cores.Count : Math.Max(processors, 1);
    }

    static IEnumerable<int> Processors(IReadOnlyList<string> info) =>
        info.Select(line => Value(line, "processor")).Where(number => number is not null).Select(number => (int)(Parse(number!) ?? -1));

    /// <summary>The processors that this process may run on (affinity, a container's set), as "0-3,8"; null where the system does not tell.</summary>
    HashSet<int>? AllowedProcessors() => Field(Lines("proc/self/status"), "Cpus_allowed_list")?.Split(',')
        .Select(range => range.Split('-')).Where(range => Parse(range[0]) is not null && Parse(range[^1]) is not null)
        .SelectMany(range => Enumerable.Range((int)Parse(range[0])!, (int)(Parse(range[^1])! - Parse(range[0])! + 1))).ToHashSet();

    /// <summary>From the system's flags where it lists them (.NET does not tell all), else from the runtime.</summary>
    static IEnumerable<string> InstructionSets(string? flags)
    {
        if (flags is null)
            return RuntimeInstructionSets();

        var set = flags.Split(' ').ToHashSet();
        return ((string Flag, string Name)[])
            [("avx2", "AVX2"), ("avx512f", "AVX-512"), ("avx512_vnni", "AVX-512 VNNI"), ("avx_vnni", "AVX-VNNI"), ("amx_int8", "AMX INT8"), ("amx_bf16", "AMX BF16")]
            is var known ? known.Where(one => set.Contains(one.Flag)).Select(one => one.Name) : [];
    }

    static IEnumerable<string> RuntimeInstructionSets()
    {
        if (Avx2.IsSupported)
            yield return "AVX2";
        if (Avx512F.IsSupported)
            yield return "AVX-512";
        if (AvxVnni.IsSupported)
            yield return "AVX-VNNI";
        if (AdvSimd.IsSupported)
            yield return "NEON";
        if (Dp.IsSupported)
            yield return "dot product";
    }

    // ---- Control groups: what a container or a service may have ----

    /// <summary>Limits of one control group; null where it sets none.</summary>
    sealed record Group(long? MemoryLimit, long MemoryUsed, long FilePages, double? Cores);

    /// <summary>The process's groups and all above them, of version 2 and 1.</summary>
    IEnumerable<Group> Groups()
    {
        // Where version 1 and 2 are mounted side by side, 2 is in a folder of its own.
        var unified = File.Exists(Path.Combine(root, "sys/fs/cgroup/unified/cgroup.controllers")) && !File.Exists(Path.Combine(root, "sys/fs/cgroup/cgroup.controllers"))
            ? "sys/fs/cgroup/unified" : "sys/fs/cgroup";
        foreach (var line in Lines("proc/self/cgroup"))
        {
            if (line.Split(':', 3) is not [_, var controllers, var path])
                continue;

            foreach (var folder in Above(controllers.Length == 0 ? unified : $"sys/fs/cgroup/{controllers}", path))
                if (controllers.Length == 0)
                    yield return new Group(
                        Lower(Number($"{folder}/memory.max"), Number($"{folder}/memory.high")), Number($"{folder}/memory.current") ?? 0,
                        Stat(folder, "inactive_file", "active_file"), CpuMax(folder));
                else if (controllers == "memory")
                    yield return new Group(
                        Number($"{folder}/memory.limit_in_bytes"), Number($"{folder}/memory.usage_in_bytes") ?? 0,
                        Stat(folder, "total_inactive_file", "total_active_file"), null);
                else if (controllers.Split(',').Contains("cpu") && Number($"{folder}/cpu.cfs_quota_us") is > 0 and var quota)
                    yield return new Group(null, 0, 0, (double)quota / (Number($"{folder}/cpu.cfs_period_us") ?? 100_000));
        }
    }

    /// <summary>A group's folder and those above it. Inside a container the path may be the host's: then only the top is there.</summary>
    static IEnumerable<string> Above(string mount, string path)
    {
        var names = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        for (int length = names.Length; length >= 0; length--)
            yield return string.Join('/', (string[])[mount, .. names[..length]]);
    }

    /// <summary>cpu.max: "200000 100000", or "max 100000".</summary>
    double? CpuMax(string folder) =>
        Lines($"{folder}/cpu.max") is [var line] && line.Split(' ') is [var quota, var period] && Parse(quota) is { } microseconds && Parse(period) is > 0 and var of
            ? (double)microseconds / of
            : null;

    /// <summary>The sum of some lines of memory.stat.</summary>
    long Stat(string folder, params IEnumerable<string> keys) =>
        Lines($"{folder}/memory.stat").Select(line => line.Split(' ')).Sum(pair => pair is [var name, var value] && keys.Contains(name) ? Parse(value) ?? 0 : 0);

    /// <summary>The lower of two limits. A group that is above its memory.high is slowed down until it is below: what is above is as good as not there.</summary>
    static long? Lower(long? max, long? high) => max is null || high < max ? high : max;

    /// <summary>A file's number; null where there is no file, or the number means "no limit".</summary>
    long? Number(string file) => Lines(file) is [var line, ..] ? Parse(line) : null;

    static long? Parse(string text) => long.TryParse(text.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : null;

    static long Kib(string text) => (Parse(text.Replace("kB", "", StringComparison.Ordinal)) ?? 0) << 10;

    static string? Field(IReadOnlyList<string> lines, string name) => lines.Select(line => Value(line, name)).FirstOrDefault(value => value is not null);

    static string? Value(string line, string name) =>
        line.Split(':', 2) is [var key, var value] && key.TrimEnd().Equals(name, StringComparison.Ordinal) ? value.Trim() : null;

    string[] Lines(string file)
    {
        try
        {
            return File.ReadAllLines(Path.Combine(root, file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];   // a system without it
        }
    }
}
