using System.Globalization;
using MedVlm.Inference;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Devices;

/// <summary>Where a model is to run.</summary>
/// <param name="Device">The device.</param>
/// <param name="Notice">What the log should tell of the choice; null for nothing.</param>
internal sealed record DeviceChoice(ComputeDevice Device, string? Notice)
{
    public const string Auto = "auto", Cpu = "cpu", Cuda = "cuda", CudaProvider = "CUDAExecutionProvider";

    /// <summary>What an option may say, whatever its case.</summary>
    public const string Pattern = "^(?i)(auto|cpu|cuda(:[0-9]{1,2})?)$";

    /// <summary>Chooses on this machine.</summary>
    /// <inheritdoc cref="Of(string, Machine)"/>
    public static DeviceChoice Of(string wanted) => Of(wanted, Machine.This);

    /// <summary>
    /// What the option names; for "auto" the GPU with the most free memory where ONNX Runtime computes on CUDA, else the processor. A GPU
    /// that cannot be used is never passed over in silence.
    /// </summary>
    /// <param name="wanted">"auto", "cpu", "cuda", or "cuda:1" for a certain GPU in CUDA's order.</param>
    /// <param name="machine">What there is.</param>
    /// <exception cref="NativeRuntimeException">A GPU is asked for, and the native ONNX Runtime has no CUDA.</exception>
    /// <exception cref="MedVlmException">The GPU that is asked for is not there, or CUDA's order of unequal GPUs is not known.</exception>
    public static DeviceChoice Of(string wanted, Machine machine)
    {
        bool auto = wanted.Equals(Auto, StringComparison.OrdinalIgnoreCase);
        if (wanted.Equals(Cpu, StringComparison.OrdinalIgnoreCase))
            return new DeviceChoice(machine.Processor(), null);

        var gpus = machine.Gpus();
        if (!machine.Providers().Contains(CudaProvider))
            return !auto
                ? throw new NativeRuntimeException(
                    "The native ONNX Runtime that the application references runs on the CPU only. Reference Microsoft.ML.OnnxRuntime.Gpu in its place to use a "
                    + "GPU, or set Device to \"cpu\".")
                : new DeviceChoice(machine.Processor(), gpus.Devices is [var unused, ..]
                    ? $"The model runs on the processor although there is a GPU ({unused.Name}): the native ONNX Runtime that the application references runs on the "
                      + "CPU only. Reference Microsoft.ML.OnnxRuntime.Gpu in its place, or set Device to \"cpu\"."
                    : null);

        var visible = CudaOrdinals.Visible(gpus, machine.Variable, machine.VisibleIds);
        var problems = string.Concat(visible.Problems.Select(problem => $" {problem}"));
        if (wanted.Contains(':'))
        {
            int ordinal = int.Parse(wanted.AsSpan(wanted.IndexOf(':') + 1), CultureInfo.InvariantCulture);
            return new DeviceChoice(
                visible.Devices.FirstOrDefault(gpu => gpu.Ordinal == ordinal)
                    ?? throw new MedVlmException($"Device is \"{wanted}\", but CUDA sees {visible.Devices.Count} GPUs here, counted from 0.{problems}"), null);
        }
        if (visible.Devices.MaxBy(gpu => gpu.FreeMemoryBytes) is { } best)
            return new DeviceChoice(best, null);

        return auto
            ? new DeviceChoice(machine.Processor(), visible.Problems.Count == 0 ? null : $"The model runs on the processor: no GPU can be used.{problems}")
            : throw new MedVlmException($"Device is \"{wanted}\", but CUDA sees no GPU here.{problems} Set Device to \"cpu\" to run without one.");
    }

    /// <summary>What the choice looks at.</summary>
    /// <param name="Processor">The processor.</param>
    /// <param name="Gpus">The GPUs that NVML lists.</param>
    /// <param name="Providers">What the native ONNX Runtime computes on.</param>
    /// <param name="Variable">Environment variables.</param>
    internal sealed record Machine(Func<ComputeDevice> Processor, Func<GpuList> Gpus, Func<IReadOnlyList<string>> Providers, Func<string, string?> Variable)
    {
        public static Machine This { get; } = new(
            CpuDetector.Detect, GpuDetector.Detect,
            () =>
            {
                OnnxRuntimeEnvironment.Ensure();
                return OrtEnv.Instance().GetAvailableProviders();
            },
            Environment.GetEnvironmentVariable)
        {
            VisibleIds = CudaDriver.VisibleIds,
        };

        /// <summary>What CUDA's driver tells of its order. Default: nothing.</summary>
        public Func<IReadOnlyList<string>?> VisibleIds { get; init; } = () => null;
    }
}
