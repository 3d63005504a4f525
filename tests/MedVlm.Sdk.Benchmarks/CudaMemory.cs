using System.Runtime.InteropServices;
using MedVlm.Devices;

namespace MedVlm.Benchmarks;

/// <summary>
/// GPU memory in use since a moment: of the stand-ins of tests/cuda-stand-in to the byte, with its peak; of a real GPU what NVML says is taken now, other
/// programs included.
/// </summary>
internal sealed unsafe class CudaMemory
{
    readonly nint _library;
    readonly long _before;

    CudaMemory(nint library)
    {
        _library = library;
        _before = InUse();
        if (library != 0)
            ((delegate* unmanaged<void>)NativeLibrary.GetExport(library, "stand_in_reset_peak"))();
    }

    /// <summary>Begins here.</summary>
    public static CudaMemory Watch() => new(
        NativeLibrary.TryLoad("libcudart.so.13", out nint library) && NativeLibrary.TryGetExport(library, "stand_in_used", out _) ? library : 0);

    /// <summary>Bytes more than at the beginning.</summary>
    public long Taken => InUse() - _before;

    /// <summary>The most bytes at once, more than at the beginning; of a real GPU, those of now.</summary>
    public long Peak => _library == 0 ? Taken : Number("stand_in_peak") - _before;

    /// <summary>Leaves so many bytes more than there were at the beginning. No effect on a real GPU.</summary>
    public void Limit(long bytes)
    {
        if (_library != 0)
            ((delegate* unmanaged<nint, void>)NativeLibrary.GetExport(_library, "stand_in_set_limit"))((nint)(_before + bytes));
    }

    long InUse() => _library != 0 ? Number("stand_in_used") : GpuDetector.Detect().Devices.Sum(gpu => gpu.TotalMemoryBytes - gpu.FreeMemoryBytes);

    long Number(string function) => ((delegate* unmanaged<nint>)NativeLibrary.GetExport(_library, function))();
}
