using MedVlm.Devices;
using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Devices;

/// <summary>Cores, instruction sets and memory of machines and containers, from copies of their /proc and /sys.</summary>
public sealed class CpuDetectorTests : IDisposable
{
    const long MiB = 1L << 20, GiB = 1L << 30;

    readonly TemporaryFolder _root = new();

    public CpuDetectorTests()
    {
        // Two cores with two threads each.
        _root.Write("proc/cpuinfo", string.Concat(Enumerable.Range(0, 4).Select(i =>
            $"processor\t: {i}\nmodel name\t: Some CPU @ 3 GHz\nphysical id\t: 0\ncore id\t\t: {i % 2}\nflags\t\t: fpu avx2 avx512f avx512_vnni amx_int8\n\n")));
        _root.Write("proc/meminfo", "MemTotal:       33554432 kB\nMemFree:         1048576 kB\nMemAvailable:   25165824 kB\nHugePages_Total:       0\n");
    }

    public void Dispose() => _root.Dispose();

    [Fact]
    public void A_plain_machine_has_all_that_it_has()
    {
        var cpu = Read();

        Assert.Equal((DeviceKind.Cpu, "Some CPU @ 3 GHz", 2, null), (cpu.Kind, cpu.Name, cpu.Cores, cpu.ThreadLimit));
        Assert.Equal((32 * GiB, 24 * GiB), (cpu.TotalMemoryBytes, cpu.FreeMemoryBytes));
        Assert.Equal(["AVX2", "AVX-512", "AVX-512 VNNI", "AMX INT8"], cpu.InstructionSets);
    }

    [Fact]
    public void A_container_has_its_limits_in_version_2()
    {
        _root.Write("proc/self/cgroup", "0::/kube/pod7/app\n");
        _root.Write("sys/fs/cgroup/kube/pod7/app/memory.max", "max\n");
        _root.Write("sys/fs/cgroup/kube/pod7/memory.max", $"{4 * GiB}\n");
        _root.Write("sys/fs/cgroup/kube/pod7/memory.current", $"{3 * GiB}\n");
        _root.Write("sys/fs/cgroup/kube/pod7/memory.stat", $"anon {GiB}\nfile {2 * GiB}\nshmem 4096\ninactive_file {GiB}\nactive_file {GiB}\nworkingset_activate_file 7\n");
        _root.Write("sys/fs/cgroup/kube/pod7/app/cpu.max", "50000 100000\n");

        var cpu = Read();

        Assert.Equal((4 * GiB, 3 * GiB, 1), (cpu.TotalMemoryBytes, cpu.FreeMemoryBytes, cpu.Cores));
    }

    [Theory]
    [InlineData("max", "1073741824", 1024), InlineData("2147483648", "1073741824", 1024), InlineData("2147483648", "max", 2048), InlineData("1073741824", "2147483648", 1024)]
    public void A_group_has_the_lower_of_its_two_limits(string max, string high, long expected)
    {
        _root.Write("proc/self/cgroup", "0::/service\n");
        _root.Write("sys/fs/cgroup/service/memory.max", max + "\n");
        _root.Write("sys/fs/cgroup/service/memory.high", high + "\n");
        _root.Write("sys/fs/cgroup/service/memory.current", $"{24 * MiB}\n");

        Assert.Equal((expected * MiB, (expected - 24) * MiB), (Read().TotalMemoryBytes, Read().FreeMemoryBytes));
    }

    [Fact]
    public void Version_2_is_found_where_it_is_mounted_beside_version_1()
    {
        _root.Write("proc/self/cgroup", "4:memory:/service\n0::/service\n");
        _root.Write("sys/fs/cgroup/unified/cgroup.controllers", "cpu\n");
        _root.Write("sys/fs/cgroup/unified/service/cpu.max", "100000 100000\n");
        _root.Write("sys/fs/cgroup/memory/service/memory.limit_in_bytes", $"{2 * GiB}\n");

        Assert.Equal((2 * GiB, 1), (Read().TotalMemoryBytes, Read().Cores));
    }

    // Processors 0 and 2 are the two threads of a core.
    [Theory]
    [InlineData("0-3", 2, null), InlineData("0-1", 2, null), InlineData("0,2", 1, 1), InlineData("3", 1, 1), InlineData("1-2,3", 2, null), InlineData("", 2, null)]
    [InlineData("8-9,24-25", 2, null), InlineData("1-4", 2, null)]   // numbers of an LXC container's host
    public void A_process_has_the_cores_that_it_may_run_on(string allowed, int cores, int? threads)
    {
        _root.Write("proc/self/status", $"Name:\tdotnet\nCpus_allowed:\tf\nCpus_allowed_list:\t{allowed}\n");

        Assert.Equal((cores, threads), (Read().Cores, Read().ThreadLimit));
    }

    [Theory]
    [InlineData("max 100000", null), InlineData("400000 100000", null), InlineData("150000 100000", null), InlineData("100000 100000", 1), InlineData("10000 100000", 1)]
    public void A_quota_below_the_cores_limits_the_threads(string quota, int? threads)
    {
        _root.Write("proc/self/cgroup", "0::/app\n");
        _root.Write("sys/fs/cgroup/app/cpu.max", quota + "\n");

        using var options = new RuntimeSettings { Processor = Read() }.ToSessionOptions("graph");
        using var told = new RuntimeSettings(Threads: 3) { Processor = Read() }.ToSessionOptions("graph");

        Assert.Equal((threads, threads ?? 0, 3), (Read().ThreadLimit, options.IntraOpNumThreads, told.IntraOpNumThreads));
    }

    [Fact]
    public void A_container_that_sees_only_the_top_has_its_limits_too()
    {
        _root.Write("proc/self/cgroup", "0::/docker/0123abc\n");
        _root.Write("sys/fs/cgroup/memory.max", $"{512 * MiB}\n");
        _root.Write("sys/fs/cgroup/memory.current", $"{100 * MiB}\n");

        Assert.Equal((512 * MiB, 412 * MiB), (Read().TotalMemoryBytes, Read().FreeMemoryBytes));
    }

    [Fact]
    public void A_container_has_its_limits_in_version_1()
    {
        _root.Write("proc/self/cgroup", "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n2:pids:/\n");
        _root.Write("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", $"{2 * GiB}\n");
        _root.Write("sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes", $"{GiB}\n");
        _root.Write("sys/fs/cgroup/memory/docker/x/memory.stat", $"cache 1\nactive_file 1\ntotal_inactive_file {100 * MiB}\ntotal_active_file {156 * MiB}\n");
        _root.Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        _root.Write("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "150000\n");
        _root.Write("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");

        var cpu = Read();

        Assert.Equal((2 * GiB, GiB + 256 * MiB, 2), (cpu.TotalMemoryBytes, cpu.FreeMemoryBytes, cpu.Cores));
    }

    [Fact]
    public void A_system_without_such_files_is_read_from_the_runtime()
    {
        using var empty = new TemporaryFolder();

        Assert.True(new CpuDetector(empty.Path).ReadLinux() is { TotalMemoryBytes: > 0, FreeMemoryBytes: >= 0, Cores: > 0 });
    }

    [Fact]
    public void This_machine_has_memory_and_cores() => Assert.True(CpuDetector.Detect() is { TotalMemoryBytes: > 0, FreeMemoryBytes: > 0, Cores: > 0 });

    ComputeDevice Read() => new CpuDetector(_root.Path).ReadLinux();
}
