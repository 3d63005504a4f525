using System.Diagnostics;
using System.Runtime.InteropServices;

namespace MedVlm.Devices;

/// <summary>Main memory as Windows tells of it, within the limits of the process's job object (a container, a service).</summary>
internal static unsafe partial class WindowsMemory
{
    const uint ProcessMemoryLimited = 0x100, JobMemoryLimited = 0x200;   // JOB_OBJECT_LIMIT_PROCESS_MEMORY, JOB_OBJECT_LIMIT_JOB_MEMORY

    const int ExtendedLimitInformation = 9;                              // JobObjectExtendedLimitInformation

    /// <summary>Asks Windows; null where it does not answer.</summary>
    public static MainMemory? Read()
    {
        var status = new MemoryStatus { Length = (uint)sizeof(MemoryStatus) };
        if (GlobalMemoryStatusEx(&status) == 0)
            return null;

        var job = new JobLimits();
        if (QueryInformationJobObject(0, ExtendedLimitInformation, &job, (uint)sizeof(JobLimits), null) == 0)
            job = default;   // in no job
        using var process = Process.GetCurrentProcess();
        return Of(status, job, process.PrivateMemorySize64);
    }

    /// <summary>Puts together what Windows tells.</summary>
    /// <param name="status">The machine's memory.</param>
    /// <param name="job">The job's limits.</param>
    /// <param name="committed">What this process has of them. What others in the job have is not known.</param>
    public static MainMemory Of(in MemoryStatus status, in JobLimits job, long committed)
    {
        // What Windows cannot back by memory and page file is refused, however much memory is free.
        var (total, free) = (status.TotalPhysical, Math.Min(status.AvailablePhysical, status.AvailableCommit));
        Bound(job.Flags & ProcessMemoryLimited, job.ProcessMemory);
        Bound(job.Flags & JobMemoryLimited, job.JobMemory);
        return new MainMemory(total, free);

        void Bound(uint isLimited, long limit)
        {
            if (isLimited != 0)
                (total, free) = (Math.Min(total, limit), Math.Min(free, Math.Max(limit - committed, 0)));
        }
    }

    [LibraryImport("kernel32"), DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static partial int GlobalMemoryStatusEx(MemoryStatus* status);

    [LibraryImport("kernel32"), DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static partial int QueryInformationJobObject(nint job, int kind, JobLimits* information, uint length, uint* returned);

    /// <summary>MEMORYSTATUSEX.</summary>
    public struct MemoryStatus
    {
        public uint Length, Load;
        public long TotalPhysical, AvailablePhysical, TotalCommit, AvailableCommit, TotalVirtual, AvailableVirtual, AvailableExtendedVirtual;
    }

    /// <summary>JOBOBJECT_EXTENDED_LIMIT_INFORMATION, of processes of 64 bits.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 144)]
    public struct JobLimits
    {
        [FieldOffset(16)] public uint Flags;
        [FieldOffset(112)] public long ProcessMemory;
        [FieldOffset(120)] public long JobMemory;
    }
}
