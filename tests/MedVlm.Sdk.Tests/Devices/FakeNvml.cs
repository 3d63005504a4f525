using MedVlm.Devices;

namespace MedVlm.Tests.Devices;

/// <summary>A GPU as NVML would tell of it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="TotalMiB">Memory.</param>
/// <param name="FreeMiB">Free memory.</param>
/// <param name="Capability">Compute capability.</param>
internal sealed record FakeGpu(string Name, long TotalMiB, long FreeMiB, (int Major, int Minor) Capability)
{
    /// <summary>The function that fails, and its result.</summary>
    public (string Function, int Status)? Failure { get; init; }

    /// <summary>Instances that the GPU is cut into, null for a place that is empty; null where the GPU is whole.</summary>
    public FakeGpu?[]? Instances { get; init; }
}

/// <summary>Stands in for the driver's library. A handle is a GPU's number plus one, an instance's a hundred times that and its own.</summary>
internal sealed class FakeNvml(params FakeGpu[] gpus) : INvml
{
    /// <summary>The function of the library itself that fails, and its result.</summary>
    public (string Function, int Status)? Failure { get; init; }

    public string DriverVersion() => Or(Failure, nameof(DriverVersion), "580.65.06");

    public int DeviceCount() => Or(Failure, nameof(DeviceCount), gpus.Length);

    public nint Device(int index) => Or(gpus[index].Failure, nameof(Device), index + 1);

    public string Name(nint device) => Or(Gpu(device).Failure, nameof(Name), Gpu(device).Name);

    public string Uuid(nint device) => Or(Gpu(device).Failure, nameof(Uuid), $"GPU-{device}");

    public GpuMemory Memory(nint device) => Or(Gpu(device).Failure, nameof(Memory), new GpuMemory(Gpu(device).TotalMiB << 20, Gpu(device).FreeMiB << 20));

    public (int Major, int Minor) ComputeCapability(nint device) => Or(Gpu(device).Failure, nameof(ComputeCapability), Gpu(device).Capability);

    public bool IsMigEnabled(nint device) => Or(Gpu(device).Failure, nameof(IsMigEnabled), Gpu(device).Instances is not null);

    public int MigPlaces(nint device) => Or(Gpu(device).Failure, nameof(MigPlaces), Gpu(device).Instances!.Length);

    public nint? MigDevice(nint device, int place) =>
        Gpu(device).Instances![place] is { } instance ? Or(instance.Failure, nameof(MigDevice), 100 * device + place) : null;

    FakeGpu Gpu(nint device) => device < 100 ? gpus[device - 1] : gpus[device / 100 - 1].Instances![device % 100]!;

    static T Or<T>((string Function, int Status)? failure, string function, T result) =>
        failure is { } fail && fail.Function == function ? throw new NvmlException($"nvml{function}", fail.Status) : result;
}
