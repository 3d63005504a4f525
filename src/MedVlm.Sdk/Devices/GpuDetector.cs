namespace MedVlm.Devices;

/// <summary>The NVIDIA GPUs of this machine, and what could not be read.</summary>
/// <param name="Devices">GPUs that answered, in NVML's order (by PCI bus); of a GPU that is cut into instances (MIG) its instances.</param>
/// <param name="Problems">For each GPU that was left out the reason, and why there is none if the driver says so.</param>
internal sealed record GpuList(IReadOnlyList<ComputeDevice> Devices, IReadOnlyList<string> Problems);

/// <summary>Finds NVIDIA GPUs. Whatever goes wrong, the worst result is a shorter list with a reason.</summary>
internal static class GpuDetector
{
    public static GpuList Detect()
    {
        using var nvml = NvmlLibrary.TryOpen(out var problem);
        return nvml is null ? new GpuList([], problem is null ? [] : [problem]) : Detect(nvml);
    }

    public static GpuList Detect(INvml nvml)
    {
        var (devices, problems) = (new List<ComputeDevice>(), new List<string>());
        try
        {
            var driver = nvml.DriverVersion();
            int count = nvml.DeviceCount();
            for (int index = 0; index < count; index++)
                try
                {
                    devices.AddRange(Read(nvml, index, driver));
                }
                catch (NvmlException e)
                {
                    problems.Add($"GPU {index} is left out. {e.Message}.");
                }
        }
        catch (NvmlException e)
        {
            problems.Add($"NVIDIA GPUs cannot be listed. {e.Message}.");
        }
        return new GpuList(devices, problems);
    }

    static IReadOnlyList<ComputeDevice> Read(INvml nvml, int index, string driver)
    {
        nint gpu = nvml.Device(index);
        var capability = nvml.ComputeCapability(gpu);

        // CUDA does not run on a GPU that is cut up, only on its instances: each is a device with its own memory.
        return nvml.IsMigEnabled(gpu)
            ? [.. nvml.MigDevices(gpu).Select(instance => Device(instance, isInstance: true))]
            : [Device(gpu, isInstance: false)];

        ComputeDevice Device(nint handle, bool isInstance)
        {
            var memory = nvml.Memory(handle);
            return new ComputeDevice(DeviceKind.Cuda, nvml.Name(handle), memory.Total, memory.Free)
            {
                Index = index,
                Id = nvml.Uuid(handle),
                ComputeCapability = new Version(capability.Major, capability.Minor),
                DriverVersion = driver,
                IsMigInstance = isInstance,
            };
        }
    }
}
