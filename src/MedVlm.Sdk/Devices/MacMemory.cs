using System.Runtime.InteropServices;

namespace MedVlm.Devices;

/// <summary>Main memory as macOS tells of it.</summary>
internal static unsafe partial class MacMemory
{
    const int HostVmInfo64 = 4;

    /// <summary>Asks macOS; null where it does not answer.</summary>
    public static MainMemory? Read()
    {
        long total = 0;
        nuint length = sizeof(long), page = 0;
        var statistics = new VmStatistics();
        uint count = (uint)(sizeof(VmStatistics) / sizeof(int));
        return SysCtlByName("hw.memsize", &total, &length, null, 0) == 0 && HostPageSize(Host.Port, &page) == 0
            && HostStatistics64(Host.Port, HostVmInfo64, &statistics, &count) == 0
            ? Of(total, (long)page, statistics)
            : null;
    }

    /// <summary>Puts together what macOS tells: free pages, pages of files, and those that their owners can do without, can be had at once.</summary>
    /// <param name="total">The machine's memory.</param>
    /// <param name="page">Bytes of a page.</param>
    /// <param name="statistics">Numbers of pages.</param>
    public static MainMemory Of(long total, long page, in VmStatistics statistics)
    {
        // Pages that were read ahead count as free and as pages of files.
        long pages = (long)statistics.Free - statistics.Speculative + statistics.External + statistics.Purgeable;
        return new MainMemory(total, Math.Clamp(pages * page, 0, total));
    }

    [LibraryImport("libSystem", EntryPoint = "sysctlbyname", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SysCtlByName(string name, void* value, nuint* length, void* newValue, nuint newLength);

    [LibraryImport("libSystem", EntryPoint = "mach_host_self")]
    private static partial uint MachHostSelf();

    [LibraryImport("libSystem", EntryPoint = "host_page_size")]
    private static partial int HostPageSize(uint host, nuint* size);

    [LibraryImport("libSystem", EntryPoint = "host_statistics64")]
    private static partial int HostStatistics64(uint host, int flavor, VmStatistics* statistics, uint* count);

    /// <summary>The right to ask, which each call of mach_host_self would count once more.</summary>
    static class Host
    {
        public static readonly uint Port = MachHostSelf();
    }

    /// <summary>struct vm_statistics64 of mach/vm_statistics.h.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 152)]
    public struct VmStatistics
    {
        [FieldOffset(0)] public uint Free;
        [FieldOffset(88)] public uint Purgeable;
        [FieldOffset(92)] public uint Speculative;
        [FieldOffset(136)] public uint External;
    }
}
