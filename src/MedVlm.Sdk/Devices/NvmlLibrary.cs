using System.Runtime.InteropServices;
using System.Text;

namespace MedVlm.Devices;

/// <summary>NVIDIA's management library, which comes with the driver: loaded where each system keeps it, and only if it is there.</summary>
/// <remarks>The functions are looked up by name: a driver lacks those that are newer than it.</remarks>
internal sealed unsafe class NvmlLibrary : INvml, IDisposable
{
    const int BufferLength = 96;   // NVML_DEVICE_NAME_V2_BUFFER_SIZE, NVML_DEVICE_UUID_V2_BUFFER_SIZE

    readonly nint _library;

    NvmlLibrary(nint library) => _library = library;

    /// <summary>Loads and initialises the library; null where there is none. Nothing is thrown: no NVML means no NVIDIA GPU.</summary>
    /// <param name="problem">Why a library that is there cannot be used; null otherwise.</param>
    public static NvmlLibrary? TryOpen(out string? problem) => TryOpen(Places, out problem);

    /// <inheritdoc cref="TryOpen(out string?)"/>
    /// <param name="places">File names to try in turn: names that the system's loader looks up, or full paths.</param>
    /// <param name="problem">Why a library that is there cannot be used; null otherwise.</param>
    public static NvmlLibrary? TryOpen(IEnumerable<string> places, out string? problem)
    {
        problem = null;
        foreach (var place in places)
        {
            if (!NativeLibrary.TryLoad(place, out nint library))
                continue;

            var nvml = new NvmlLibrary(library);
            try
            {
                Check("nvmlInit_v2", ((delegate* unmanaged<int>)nvml.Function("nvmlInit_v2"))());
                return nvml;
            }
            catch (NvmlException e)
            {
                problem = e.Message;
                NativeLibrary.Free(library);
            }
        }
        return null;
    }

    /// <summary>Where the driver's installer puts the library.</summary>
    static IEnumerable<string> Places => OperatingSystem.IsWindows()
        ? [
            Path.Combine(Environment.SystemDirectory, "nvml.dll"),
            Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ProgramFiles), "NVIDIA Corporation", "NVSMI", "nvml.dll"),
        ]
        : OperatingSystem.IsLinux() ? ["libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"]
        : [];

    public string DriverVersion() => Text(
        "nvmlSystemGetDriverVersion", (function, text) => ((delegate* unmanaged<byte*, uint, int>)function)((byte*)text, BufferLength));

    public int DeviceCount()
    {
        uint count = 0;
        Check("nvmlDeviceGetCount_v2", ((delegate* unmanaged<uint*, int>)Function("nvmlDeviceGetCount_v2"))(&count));
        return (int)count;
    }

    public nint Device(int index)
    {
        nint device = 0;
        Check("nvmlDeviceGetHandleByIndex_v2", ((delegate* unmanaged<uint, nint*, int>)Function("nvmlDeviceGetHandleByIndex_v2"))((uint)index, &device));
        return device;
    }

    public string Name(nint device) => Text(
        "nvmlDeviceGetName", (function, text) => ((delegate* unmanaged<nint, byte*, uint, int>)function)(device, (byte*)text, BufferLength));

    public string Uuid(nint device) => Text(
        "nvmlDeviceGetUUID", (function, text) => ((delegate* unmanaged<nint, byte*, uint, int>)function)(device, (byte*)text, BufferLength));

    public GpuMemory Memory(nint device)
    {
        if (NativeLibrary.TryGetExport(_library, "nvmlDeviceGetMemoryInfo_v2", out nint function))
        {
            var info = new MemoryV2 { Version = (uint)sizeof(MemoryV2) | 2 << 24 };
            int status = ((delegate* unmanaged<nint, MemoryV2*, int>)function)(device, &info);
            if (status is not (NvmlException.NotSupported or NvmlException.FunctionNotFound or NvmlException.ArgumentVersionMismatch))
            {
                Check("nvmlDeviceGetMemoryInfo_v2", status);
                return new GpuMemory((long)info.Total, (long)info.Free);
            }
        }
        MemoryV1 old;
        Check("nvmlDeviceGetMemoryInfo", ((delegate* unmanaged<nint, MemoryV1*, int>)Function("nvmlDeviceGetMemoryInfo"))(device, &old));
        return new GpuMemory((long)old.Total, (long)old.Free);
    }

    public (int Major, int Minor) ComputeCapability(nint device)
    {
        int major = 0, minor = 0;
        Check(
            "nvmlDeviceGetCudaComputeCapability",
            ((delegate* unmanaged<nint, int*, int*, int>)Function("nvmlDeviceGetCudaComputeCapability"))(device, &major, &minor));
        return (major, minor);
    }

    public bool IsMigEnabled(nint device)
    {
        if (!NativeLibrary.TryGetExport(_library, "nvmlDeviceGetMigMode", out nint function))
            return false;

        uint current = 0, pending = 0;
        int status = ((delegate* unmanaged<nint, uint*, uint*, int>)function)(device, &current, &pending);
        if (status is NvmlException.NotSupported or NvmlException.FunctionNotFound)
            return false;
        Check("nvmlDeviceGetMigMode", status);
        return current == 1;
    }

    public int MigPlaces(nint device)
    {
        uint count = 0;
        Check("nvmlDeviceGetMaxMigDeviceCount", ((delegate* unmanaged<nint, uint*, int>)Function("nvmlDeviceGetMaxMigDeviceCount"))(device, &count));
        return (int)count;
    }

    public nint? MigDevice(nint device, int place)
    {
        nint instance = 0;
        int status = ((delegate* unmanaged<nint, uint, nint*, int>)Function("nvmlDeviceGetMigDeviceHandleByIndex"))(device, (uint)place, &instance);
        if (status == NvmlException.NotFound)
            return null;
        Check("nvmlDeviceGetMigDeviceHandleByIndex", status);
        return instance;
    }

    public void Dispose()
    {
        if (NativeLibrary.TryGetExport(_library, "nvmlShutdown", out nint shutdown))
            ((delegate* unmanaged<int>)shutdown)();
        NativeLibrary.Free(_library);
    }

    string Text(string name, Func<nint, nint, int> call)
    {
        byte* text = stackalloc byte[BufferLength];
        Check(name, call(Function(name), (nint)text));
        var bytes = new ReadOnlySpan<byte>(text, BufferLength);
        int end = bytes.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
    }

    nint Function(string name) =>
        NativeLibrary.TryGetExport(_library, name, out nint function) ? function : throw new NvmlException(name, NvmlException.FunctionNotFound);

    static void Check(string function, int status)
    {
        if (status != 0)
            throw new NvmlException(function, status);
    }

    struct MemoryV1
    {
        public ulong Total, Free, Used;
    }

    struct MemoryV2
    {
        public uint Version;
        public ulong Total, Reserved, Free, Used;
    }
}
