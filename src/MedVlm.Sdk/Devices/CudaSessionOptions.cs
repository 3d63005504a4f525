using System.Globalization;
using MedVlm.Inference;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Devices;

/// <summary>ONNX Runtime's options of the CUDA execution provider that follow from a plan, for each of the two sessions.</summary>
internal static class CudaSessionOptions
{
    /// <summary>The GPU's own memory, which a session allocates.</summary>
    public static OrtMemoryInfo Memory(ComputeDevice device) =>
        new(OrtMemoryInfo.allocatorCUDA, OrtAllocatorType.DeviceAllocator, device.Ordinal, OrtMemType.Default);

    /// <summary>
    /// The two sessions have an arena each. Each is given what it is planned to take and half of what is left, so that together they stay
    /// within what may be used; and grows by what is asked for, where ONNX Runtime would double it.
    /// </summary>
    public static (IReadOnlyDictionary<string, string> Vision, IReadOnlyDictionary<string, string> Decoder) Of(MemoryPlan plan)
    {
        var (chosen, model) = (plan.Require(), plan.Footprint);
        const DeviceKind Cuda = DeviceKind.Cuda;
        var format = ModelGraphs.Formats(chosen.Precision, Cuda, model.Shape.HeadSize).Vision;
        long vision = model.Vision.Bytes(chosen.Precision, Cuda) + MemoryPlanner.VisionWorkspace(model, Cuda, format);
        long decoder = chosen.TotalBytes - chosen.OverheadBytes - vision;
        return (Options(vision + chosen.MarginBytes / 2), Options(decoder + chosen.MarginBytes / 2));

        IReadOnlyDictionary<string, string> Options(long limit) => new Dictionary<string, string>
        {
            ["device_id"] = plan.Device.Ordinal.ToString(CultureInfo.InvariantCulture),
            ["gpu_mem_limit"] = limit.ToString(CultureInfo.InvariantCulture),
            ["arena_extend_strategy"] = "kSameAsRequested",
        };
    }
}
