namespace MedVlm.Devices;

/// <summary>The NVIDIA GPUs of this machine, and what could not be read.</summary>
/// <param name="Devices">GPUs that answered, in NVML's order (by PCI bus); of a GPU that is cut into instances (MIG) its instances.</param>
/// <param name="Problems">For each GPU or instance that was left out the reason, and why there is none if the driver says so.</param>
internal sealed record GpuList(IReadOnlyList<ComputeDevice> Devices, IReadOnlyList<string> Problems);

/// <summary>Finds NVIDIA GPUs. Whatever goes wrong, the worst result is a shorter list with a reason.</summary>
internal sealed class GpuDetector
{
    readonly INvml _nvml;
    readonly List<ComputeDevice> _devices = [];
    readonly List<string> _problems = [];

    GpuDetector(INvml nvml) => _nvml = nvml;

    public static GpuList Detect()
    {
        using var nvml = NvmlLibrary.TryOpen(out var problem);
        return nvml is null ? new GpuList([], problem is null ? [] : [problem]) : Detect(nvml);
    }

    public static GpuList Detect(INvml nvml)
    {
        var detector = new GpuDetector(nvml);
        detector.Try("NVIDIA GPUs cannot be listed.", detector.ReadAll);
        return new GpuList(detector._devices, detector._problems);
    }

    void ReadAll()
    {
        var driver = _nvml.DriverVersion();
        foreach (int index in Enumerable.Range(0, _nvml.DeviceCount()))
            Try($"GPU {index} is left out.", () => Read(index, driver));
    }

    void Read(int index, string driver)
    {
        nint gpu = _nvml.Device(index);
        var (major, minor) = _nvml.ComputeCapability(gpu);

        // CUDA does not run on a GPU that is cut up, only on its instances: each is a device with its own memory.
        if (!_nvml.IsMigEnabled(gpu))
        {
            Add(gpu, isInstance: false);
            return;
        }
        int told = _devices.Count + _problems.Count;
        foreach (int place in Enumerable.Range(0, _nvml.MigPlaces(gpu)))
            Try($"Instance {place} of GPU {index} (MIG) is left out.", () =>
            {
                if (_nvml.MigDevice(gpu, place) is { } instance)
                    Add(instance, isInstance: true);
            });
        if (_devices.Count + _problems.Count == told)
            _problems.Add($"GPU {index} is left out. It is in MIG mode and has no instance, without which CUDA does not run on it.");

        void Add(nint handle, bool isInstance)
        {
            var memory = _nvml.Memory(handle);
            _devices.Add(new ComputeDevice(DeviceKind.Cuda, _nvml.Name(handle), memory.Total, memory.Free)
            {
                Index = index,
                Id = _nvml.Uuid(handle),
                ComputeCapability = new Version(major, minor),
                DriverVersion = driver,
                IsMigInstance = isInstance,
            });
        }
    }

    /// <summary>What fails by itself costs nothing else: it becomes a problem.</summary>
    void Try(string otherwise, Action read)
    {
        try
        {
            read();
        }
        catch (NvmlException e)
        {
            _problems.Add($"{otherwise} {e.Message}.");
        }
    }
}
