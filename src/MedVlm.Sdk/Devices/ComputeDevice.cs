namespace MedVlm;

/// <summary>What kind of device runs a model.</summary>
public enum DeviceKind
{
    /// <summary>The processor, in main memory.</summary>
    Cpu,

    /// <summary>An NVIDIA GPU.</summary>
    Cuda,
}

/// <summary>A device that a model can be planned for: this machine's processor, one of its GPUs, or one that is only named.</summary>
/// <param name="Kind">Processor or GPU.</param>
/// <param name="Name">As the device calls itself.</param>
/// <param name="TotalMemoryBytes">Memory of the device; of a processor, what this process may have (a container's limit counts).</param>
/// <param name="FreeMemoryBytes">What of it is free now.</param>
public sealed record ComputeDevice(DeviceKind Kind, string Name, long TotalMemoryBytes, long FreeMemoryBytes)
{
    /// <summary>Number of a GPU in the order of NVML (nvidia-smi). Default: 0.</summary>
    public int Index { get; init; }

    /// <summary>
    /// Number of a GPU in CUDA's order, 1 for "cuda:1", which CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES decide; the same as
    /// <see cref="Index"/> where there is one GPU. Known of <see cref="SystemInformation.CudaGpus"/> and of a plan's device. Default: 0.
    /// </summary>
    public int Ordinal { get; init; }

    /// <summary>UUID of a GPU or of its instance; null for others.</summary>
    public string? Id { get; init; }

    /// <summary>CUDA compute capability of a GPU; null for others.</summary>
    public Version? ComputeCapability { get; init; }

    /// <summary>Version of the NVIDIA driver; null for others.</summary>
    public string? DriverVersion { get; init; }

    /// <summary>Whether this is a part of a GPU (MIG) with memory of its own.</summary>
    public bool IsMigInstance { get; init; }

    /// <summary>Cores that may be used at once (affinity and a container's quota count); 0 where it is not known.</summary>
    public int Cores { get; init; }

    /// <summary>
    /// Threads of a matrix product where this process may not use all cores of the machine; null where it may, which ONNX Runtime counts
    /// itself and gives a thread of its own each.
    /// </summary>
    internal int? ThreadLimit { get; init; }

    /// <summary>The same, where no more cores may be used than these.</summary>
    internal ComputeDevice WithAtMost(int cores) => cores < Cores ? this with { Cores = cores, ThreadLimit = cores } : this;

    /// <summary>Instruction sets of a processor that matter for its speed, as "AVX2", "AVX-512 VNNI".</summary>
    public IReadOnlyList<string> InstructionSets { get; init; } = [];

    /// <summary>Reads a device that need not be in this machine: "RTX 5080", "RTX 5080 16GB", "24 GB", "24".</summary>
    /// <param name="text">A common NVIDIA card, or an amount of GPU memory in GB, or both.</param>
    /// <returns>The device, empty but for what driver and CUDA keep for themselves.</returns>
    /// <exception cref="ArgumentException">Neither a known card nor an amount.</exception>
    public static ComputeDevice Parse(string text) => Devices.KnownGpus.Parse(text);
}
