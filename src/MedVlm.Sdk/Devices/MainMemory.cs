namespace MedVlm.Devices;

/// <summary>Main memory that a process may have, in bytes.</summary>
/// <param name="Total">All of it.</param>
/// <param name="Free">What of it can be had now.</param>
internal readonly record struct MainMemory(long Total, long Free)
{
    /// <summary>Asks the system, and the .NET runtime where that does not answer.</summary>
    public static MainMemory Read() =>
        (OperatingSystem.IsWindows() ? WindowsMemory.Read() : OperatingSystem.IsMacOS() ? MacMemory.Read() : null) ?? OfRuntime();

    /// <summary>What the runtime saw at its last collection; before the first it knows of no use but this process's own.</summary>
    static MainMemory OfRuntime()
    {
        var memory = GC.GetGCMemoryInfo();
        long used = Math.Max(memory.MemoryLoadBytes, Environment.WorkingSet);
        return new MainMemory(memory.TotalAvailableMemoryBytes, Math.Max(memory.TotalAvailableMemoryBytes - used, 0));
    }
}
