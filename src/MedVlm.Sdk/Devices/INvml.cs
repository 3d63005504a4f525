namespace MedVlm.Devices;

/// <summary>The part of NVIDIA's management library (NVML) that is asked, one member for each of its functions.</summary>
/// <remarks>Every member throws <see cref="NvmlException"/> where the function reports an error.</remarks>
internal interface INvml
{
    /// <summary>nvmlSystemGetDriverVersion.</summary>
    string DriverVersion();

    /// <summary>nvmlDeviceGetCount_v2.</summary>
    int DeviceCount();

    /// <summary>nvmlDeviceGetHandleByIndex_v2.</summary>
    nint Device(int index);

    /// <summary>nvmlDeviceGetName.</summary>
    string Name(nint device);

    /// <summary>nvmlDeviceGetUUID.</summary>
    string Uuid(nint device);

    /// <summary>nvmlDeviceGetMemoryInfo_v2, or nvmlDeviceGetMemoryInfo where a driver is older.</summary>
    GpuMemory Memory(nint device);

    /// <summary>nvmlDeviceGetCudaComputeCapability.</summary>
    (int Major, int Minor) ComputeCapability(nint device);

    /// <summary>nvmlDeviceGetMigMode: whether the GPU is cut into instances; false where it cannot be.</summary>
    bool IsMigEnabled(nint device);

    /// <summary>nvmlDeviceGetMaxMigDeviceCount: how many instances a GPU may have.</summary>
    int MigPlaces(nint device);

    /// <summary>nvmlDeviceGetMigDeviceHandleByIndex: the instance in a place; null where none was made.</summary>
    nint? MigDevice(nint device, int place);
}

/// <summary>A GPU's memory in bytes.</summary>
internal readonly record struct GpuMemory(long Total, long Free);

/// <summary>A function of NVML reported an error.</summary>
internal sealed class NvmlException(string function, int status) : Exception($"{function}: {Meaning(status)}")
{
    /// <summary>The function's result (nvmlReturn_t).</summary>
    public int Status => status;

    public const int NotSupported = 3, NotFound = 6, FunctionNotFound = 13, ArgumentVersionMismatch = 25;

    static string Meaning(int status) => status switch
    {
        1 => "the library was not initialised",
        2 => "an argument is invalid",
        NotSupported => "not supported by this GPU",
        4 => "no permission",
        NotFound => "not found",
        8 => "the GPU's power cables are not attached",
        9 => "the NVIDIA driver is not loaded",
        10 => "the NVIDIA driver reports an interrupt problem",
        12 => "the NVIDIA driver's library is missing",
        FunctionNotFound => "the driver is too old for it",
        15 => "the GPU has fallen off the bus or is otherwise inaccessible",
        18 => "driver and library are of different versions: restart the machine after a driver update",
        _ => $"NVML error {status}",
    };
}
