using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MedVlm.Devices;

namespace MedVlm.Tests.Devices;

/// <summary>Main memory of systems without /proc: what is made of the numbers that they tell, on every system.</summary>
public sealed class MainMemoryTests
{
    const long MiB = 1L << 20;

    // ---- Windows ----

    [Theory]
    [InlineData(0u, 0, 0, 1000, 400)]
    [InlineData(0u, 300, 200, 1000, 400)]      // limits that are not in force
    [InlineData(0x100u, 300, 0, 300, 250)]     // of each process
    [InlineData(0x200u, 0, 200, 200, 150)]     // of all processes of the job
    [InlineData(0x300u, 300, 200, 200, 150)]
    [InlineData(0x2100u, 40, 0, 40, 0)]        // used up
    [InlineData(0x100u, 5000, 0, 1000, 400)]   // more than there is
    public void On_Windows_a_job_bounds_what_the_machine_has(uint flags, long process, long job, long total, long free)
    {
        var status = new WindowsMemory.MemoryStatus { TotalPhysical = 1000 * MiB, AvailablePhysical = 400 * MiB, AvailableCommit = 900 * MiB };
        var limits = new WindowsMemory.JobLimits { Flags = flags, ProcessMemory = process * MiB, JobMemory = job * MiB };

        Assert.Equal(new MainMemory(total * MiB, free * MiB), WindowsMemory.Of(status, limits, committed: 50 * MiB));
    }

    [Fact]
    public void On_Windows_what_cannot_be_committed_is_not_free() => Assert.Equal(
        100 * MiB, WindowsMemory.Of(new() { TotalPhysical = 1000 * MiB, AvailablePhysical = 400 * MiB, AvailableCommit = 100 * MiB }, default, 0).Free);

    // ---- macOS ----

    [Theory]
    [InlineData(1000u, 0u, 0u, 0u, 1000)]
    [InlineData(1000u, 200u, 500u, 30u, 1330)]   // pages that were read ahead are in both, and count once
    [InlineData(60000u, 0u, 60000u, 0u, 65536)]  // never more than there is
    public void On_macOS_pages_of_files_can_be_had(uint free, uint speculative, uint external, uint purgeable, long pages) => Assert.Equal(
        new MainMemory(1L << 30, pages * 16384),
        MacMemory.Of(1L << 30, 16384, new() { Free = free, Speculative = speculative, External = external, Purgeable = purgeable }));

    // ---- Both ----

    // Sizes and places as the systems' C headers lay them out for 64 bits.
    [Fact]
    public void The_structures_are_laid_out_as_the_systems_have_them()
    {
        Assert.Equal((64, 144, 152), (Unsafe.SizeOf<WindowsMemory.MemoryStatus>(), Unsafe.SizeOf<WindowsMemory.JobLimits>(), Unsafe.SizeOf<MacMemory.VmStatistics>()));
        Assert.Equal((8, 16, 32), (Place<WindowsMemory.MemoryStatus>("TotalPhysical"), Place<WindowsMemory.MemoryStatus>("AvailablePhysical"), Place<WindowsMemory.MemoryStatus>("AvailableCommit")));
        Assert.Equal((16, 112, 120), (Place<WindowsMemory.JobLimits>("Flags"), Place<WindowsMemory.JobLimits>("ProcessMemory"), Place<WindowsMemory.JobLimits>("JobMemory")));

        static int Place<T>(string field) => (int)Marshal.OffsetOf<T>(field);
    }

    [Fact]
    public void What_is_free_is_less_than_what_there_is() => Assert.InRange(MainMemory.Read().Free, 1, MainMemory.Read().Total - 1);
}
