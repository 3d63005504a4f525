using System.Runtime.InteropServices;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Inference;
using MedVlm.Kernels;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm;

/// <summary>What this machine has for running models: devices, native libraries, caches. For a look at a machine, and for bug reports.</summary>
/// <remarks>Holds the paths of caches, which may name the user; no serial numbers but a GPU's UUID.</remarks>
public sealed class SystemInformation
{
    SystemInformation(ComputeDevice processor, GpuList gpus, DeviceChoice.Machine machine)
    {
        var problems = gpus.Problems.ToList();
        (Processor, Gpus, Problems) = (processor, gpus.Devices, problems);
        CudaGpus = ReadCudaGpus(gpus, machine, problems);
        var hub = HubCache.FromEnvironment(machine.Variable);
        (HubCacheFolder, CacheFolder) = (hub.Folder, WeightCache.Folder);
        if (QuantisedCache.FromEnvironment(Environment.GetEnvironmentVariable).Problem() is { } problem)
            problems.Add(problem);

        (OnnxRuntimeVersion, ExecutionProviders) = ReadOnnxRuntime(problems);
        LibvipsVersion = ReadLibvips(problems);
    }

    /// <summary>Looks at the machine. Nothing is thrown: what is missing is in <see cref="Problems"/>.</summary>
    public static SystemInformation Detect() => Detect(DeviceChoice.Machine.This);

    /// <summary>The same of another machine: for tests.</summary>
    /// <param name="machine">Its devices and variables; libraries are this machine's.</param>
    internal static SystemInformation Detect(DeviceChoice.Machine machine) => new(machine.Processor(), machine.Gpus(), machine);

    /// <summary>Hub ids of the models that this library is made for, for which plans can be made without a download.</summary>
    public static IReadOnlyList<string> KnownModels { get; } = [.. Devices.KnownModels.All.Select(known => known.Model)];

    /// <summary>Operating system, architecture and .NET version.</summary>
    public string Platform { get; } = $"{RuntimeInformation.OSDescription.Trim()}, {RuntimeInformation.ProcessArchitecture}, {RuntimeInformation.FrameworkDescription}";

    /// <summary>The processor, and the memory that this process may have.</summary>
    public ComputeDevice Processor { get; }

    /// <summary>
    /// The instructions that attention on integers (INT8 and INT4 on a CPU) is computed with: "AVX-512" or "AVX2"; null where ONNX Runtime's attention in
    /// FP32 is taken instead.
    /// </summary>
    public string? IntegerKernels { get; } = !CustomOperators.AreSupported ? null : IntegerProduct.TakesAvx512 ? "AVX-512" : "AVX2";

    /// <summary>NVIDIA GPUs, or their instances (MIG); empty without an NVIDIA driver.</summary>
    public IReadOnlyList<ComputeDevice> Gpus { get; }

    /// <summary>
    /// Those of <see cref="Gpus"/> that CUDA sees, and so a model can run on, in CUDA's order (<see cref="ComputeDevice.Ordinal"/>). CUDA_VISIBLE_DEVICES may
    /// leave some out. Empty, with a reason in <see cref="Problems"/>, where the order is not known.
    /// </summary>
    public IReadOnlyList<ComputeDevice> CudaGpus { get; }

    /// <summary>Version of the native ONNX Runtime; null where the application references none.</summary>
    public string? OnnxRuntimeVersion { get; }

    /// <summary>What the native ONNX Runtime can run graphs on, as "CUDAExecutionProvider", "CPUExecutionProvider".</summary>
    public IReadOnlyList<string> ExecutionProviders { get; }

    /// <summary>Version of libvips, which decodes images; null where it cannot be loaded.</summary>
    public string? LibvipsVersion { get; }

    /// <summary>The Hugging Face cache that hub ids are looked up in; it need not exist.</summary>
    public string HubCacheFolder { get; }

    /// <summary>Where this library keeps what it makes (MEDVLM_CACHE); it need not exist.</summary>
    public string CacheFolder { get; }

    /// <summary>What could not be read, or is missing: a GPU that does not answer, a native library that is not there, a cache that cannot be written.</summary>
    public IReadOnlyList<string> Problems { get; }

    static IReadOnlyList<ComputeDevice> ReadCudaGpus(GpuList gpus, DeviceChoice.Machine machine, List<string> problems)
    {
        try
        {
            var visible = CudaOrdinals.Visible(gpus, machine.Variable, machine.VisibleIds);
            problems.AddRange(visible.Problems.Except(gpus.Problems));
            return visible.Devices;
        }
        catch (MedVlmException e)
        {
            problems.Add(e.Message);
            return [];
        }
    }

    static (string?, IReadOnlyList<string>) ReadOnnxRuntime(List<string> problems)
    {
        try
        {
            OnnxRuntimeEnvironment.Ensure();
            return (OrtEnv.Instance().GetVersionString(), OrtEnv.Instance().GetAvailableProviders());
        }
        catch (Exception e) when (e is NativeRuntimeException or OnnxRuntimeException)
        {
            problems.Add(e.Message);
            return (null, []);
        }
    }

    static string? ReadLibvips(List<string> problems)
    {
        try
        {
            Imaging.LibVips.Start();
            return $"{NetVips.NetVips.Version(0)}.{NetVips.NetVips.Version(1)}.{NetVips.NetVips.Version(2)}";
        }
        catch (NativeRuntimeException e)
        {
            problems.Add(e.Message);
            return null;
        }
    }
}
