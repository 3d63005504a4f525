using System.Runtime.InteropServices;

namespace MedVlm.Devices;

/// <summary>NVIDIA's driver API (libcuda), asked for one thing: which GPUs CUDA sees in this process, in its order.</summary>
/// <remarks>Nothing is allocated on a GPU: that begins with a context, which is ONNX Runtime's to make.</remarks>
internal static unsafe class CudaDriver
{
    const int NoDevice = 100;   // CUDA_ERROR_NO_DEVICE

    /// <summary>UUIDs of GPUs and instances, without "GPU-" or "MIG-", the first that of "cuda:0"; null where the driver does not tell.</summary>
    public static IReadOnlyList<string>? VisibleIds() => VisibleIds(Places);

    /// <inheritdoc cref="VisibleIds()"/>
    /// <param name="places">File names to try in turn: names that the system's loader looks up, or full paths.</param>
    public static IReadOnlyList<string>? VisibleIds(IEnumerable<string> places)
    {
        foreach (var place in places)
            if (NativeLibrary.TryLoad(place, out nint library))
            {
                // It stays loaded: once initialised the driver has threads of its own, and ONNX Runtime loads it again.
                if (NativeLibrary.TryGetExport(library, "cuInit", out nint initialise))
                    return Ask(library, (delegate* unmanaged<uint, int>)initialise);
                NativeLibrary.Free(library);
            }
        return null;
    }

    /// <summary>Where the driver's installer puts the library.</summary>
    static IEnumerable<string> Places => OperatingSystem.IsWindows() ? [Path.Combine(Environment.SystemDirectory, "nvcuda.dll")]
        : OperatingSystem.IsLinux() ? ["libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"]
        : [];

    static List<string>? Ask(nint library, delegate* unmanaged<uint, int> initialise)
    {
        int status = initialise(0), count = 0;
        if (status == NoDevice)
            return [];
        if (status != 0 || !NativeLibrary.TryGetExport(library, "cuDeviceGetCount", out nint getCount)
            || !NativeLibrary.TryGetExport(library, "cuDeviceGet", out nint getDevice)
            || !(NativeLibrary.TryGetExport(library, "cuDeviceGetUuid_v2", out nint getId) || NativeLibrary.TryGetExport(library, "cuDeviceGetUuid", out getId))
            || ((delegate* unmanaged<int*, int>)getCount)(&count) != 0)
            return null;

        var ids = new List<string>();
        byte* id = stackalloc byte[16];
        for (int ordinal = 0; ordinal < count; ordinal++)
        {
            int device = 0;
            if (((delegate* unmanaged<int*, int, int>)getDevice)(&device, ordinal) != 0 || ((delegate* unmanaged<byte*, int, int>)getId)(id, device) != 0)
                return null;
            ids.Add(new Guid(new ReadOnlySpan<byte>(id, 16), bigEndian: true).ToString());
        }
        return ids;
    }
}
