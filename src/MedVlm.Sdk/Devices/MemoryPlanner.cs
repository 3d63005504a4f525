using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;

namespace MedVlm.Devices;

/// <summary>What the application asks of a plan; null is the plan's choice.</summary>
/// <param name="Precision">Number format, or Auto.</param>
/// <param name="Slots">Captions that are decoded together.</param>
/// <param name="MaxDeviceMemoryMiB">Memory that all may take together.</param>
internal sealed record PlanRequest(Precision Precision = Precision.Auto, int? Slots = null, int? MaxDeviceMemoryMiB = null)
{
    public static PlanRequest Of(MedicalCaptionerOptions options) => new(options.Precision, options.Slots, options.MaxDeviceMemoryMiB)
    {
        VisionCacheBytes = options.VisionCacheMiB * (1L << 20),
    };

    /// <summary>Main memory for image features that are kept for images that come again.</summary>
    public long VisionCacheBytes { get; init; }
}

/// <summary>Adds up what a model takes on a device, for each precision and number of slots, and chooses. docs/memory-plan.md has the terms.</summary>
internal static class MemoryPlanner
{
    const long MiB = 1L << 20;

    // Values that are alive at once for each row of a layer, in widths of the layer and of its widest part together. Measured on the CPU
    // (docs/memory-plan.md); arenas that double and never shrink are in it. On CUDA it is the same number of values, of two bytes. Where the
    // operators on integers compute in INT8, most of them are bytes, or never there as a whole; products with 4-bit weights take a little more.
    const double LiveWidths = 7, LiveWidthsOfInt8 = 4.5, LiveWidthsOfInt4 = 7.5;

    // On CUDA quantised weights are widened to FP16, a matrix at a time, for products of more than a few rows. The arena holds two of the largest: what
    // stays of one product lies where the first one was (docs/memory-plan.md).
    const int WidenedMatrices = 2;

    // The process with .NET, ONNX Runtime and a tokenizer, beside all that is counted: measured. On CUDA: the context with the kernels of
    // ONNX Runtime, cuBLAS and cuDNN and their workspace. Assumed, for want of a GPU.
    const long CpuOverhead = 200 * MiB, CudaOverhead = 600 * MiB;

    // More slots than this gain nothing on a CPU: at 4 a decode step is a small part of a caption's time beside vision and prefill.
    const int MaxCpuSlots = 4, MaxCudaSlots = 16;

    /// <summary>Precisions that a device computes in, best quality first.</summary>
    public static IReadOnlyList<Precision> PrecisionsOf(DeviceKind device) =>
        device == DeviceKind.Cpu ? [Precision.Fp32, Precision.Int8, Precision.Int4] : [Precision.Fp16, Precision.Int8, Precision.Int4];

    /// <summary>Makes the plan, whether or not anything fits.</summary>
    public static MemoryPlan Plan(string model, bool isLocal, ModelFootprint footprint, ComputeDevice device, PlanRequest request)
    {
        var precisions = request.Precision == Precision.Auto ? PrecisionsOf(device.Kind) : [request.Precision];
        long reserve = Reserve(device), free = Math.Max(device.FreeMemoryBytes - reserve, 0);
        long budget = request.MaxDeviceMemoryMiB is { } limit ? Math.Min(limit * MiB, device.FreeMemoryBytes) : free;

        var candidates = new List<MemoryPlanCandidate>();
        foreach (var precision in precisions)
            foreach (int slots in request.Slots is { } wanted ? [wanted] : SlotsThatHelp(footprint, precision, device.Kind))
                candidates.Add(Candidate(footprint, precision, slots, device.Kind, budget, request.VisionCacheBytes));

        // Candidates are in order of quality, then of slots.
        var fitting = candidates.Where(candidate => candidate.Fits).ToList();
        return new MemoryPlan(model, isLocal, device, footprint, request, reserve, budget, candidates)
        {
            Chosen = fitting.Count == 0 ? null : fitting.Where(candidate => candidate.Precision == fitting[0].Precision).MaxBy(candidate => candidate.Slots),
        };
    }

    static MemoryPlanCandidate Candidate(ModelFootprint model, Precision precision, int slots, DeviceKind device, long budget, long visionCache)
    {
        // 4-bit weights are no faster than FP32 where a matrix meets hundreds of rows: on a CPU the vision tower then takes INT8.
        var vision = precision == Precision.Int4 && device == DeviceKind.Cpu ? Precision.Int8 : precision;
        long weights = model.Vision.Bytes(vision, device) + model.Decoder.Bytes(precision, device) + model.Others * ValueBytes(device)
                     + (device == DeviceKind.Cpu ? model.HostBytes : 0) + (precision == Precision.Fp32 ? model.OwnBytes : 0);
        var formats = ModelGraphs.Formats(precision, device, model.Shape.HeadSize);
        long cache = slots * model.Shape.BytesPerSlot(model.Caption.SlotLength, formats.Decoder);

        // While a matrix is loaded it is there twice; no image is looked at before all are.
        long loading = Largest(model) * (device == DeviceKind.Cpu ? sizeof(float) : 0);
        long workspace = Math.Max(
            VisionWorkspace(model, device, formats.Vision) + PrefillWorkspace(model, device, formats.Decoder)
            + (device == DeviceKind.Cpu ? PixelBytes(model.Caption, slots) + DecodedBytes(slots) : 0), loading);
        return new MemoryPlanCandidate(precision, slots)
        {
            WeightBytes = weights, KvCacheBytes = cache, WorkspaceBytes = workspace,
            OverheadBytes = device == DeviceKind.Cpu ? CpuOverhead + visionCache : CudaOverhead, BudgetBytes = budget,
        };
    }

    /// <summary>One run of the vision tower: its patches, and what a layer makes of each.</summary>
    /// <param name="model">The model.</param>
    /// <param name="device">What it runs on.</param>
    /// <param name="format">What the tower computes in.</param>
    public static long VisionWorkspace(ModelFootprint model, DeviceKind device, GraphFormat format)
    {
        var widths = model.Widths;
        long patches = model.Caption.RunValues / widths.PatchInput;
        return (long)(patches * (2 * widths.PatchInput + Live(format) * (widths.Vision + widths.VisionInner))) * ValueBytes(device)
             + WidenedBytes(device, format, widths.Vision * widths.VisionInner);
    }

    /// <summary>The decoder over a whole prompt; one caption is prefilled at a time.</summary>
    /// <param name="model">The model.</param>
    /// <param name="device">What it runs on.</param>
    /// <param name="format">What the decoder computes in.</param>
    public static long PrefillWorkspace(ModelFootprint model, DeviceKind device, GraphFormat format)
    {
        var widths = model.Widths;
        return (long)(model.Caption.PromptTokens * Live(format) * (widths.Decoder + widths.DecoderInner)) * ValueBytes(device)
             + WidenedBytes(device, format, widths.Decoder * widths.DecoderInner);
    }

    static long WidenedBytes(DeviceKind device, GraphFormat format, long largestOfLayer) =>
        device == DeviceKind.Cuda && format.Linears != LinearFormat.Float ? WidenedMatrices * largestOfLayer * ValueBytes(device) : 0;

    static double Live(GraphFormat format) => format switch
    {
        { IntegerKernels: true, Linears: LinearFormat.Int8 } => LiveWidthsOfInt8,
        { IntegerKernels: true, Linears: LinearFormat.Int4 } => LiveWidthsOfInt4,
        _ => LiveWidths,
    };

    /// <summary>Images that are made ready at most, until their features are there: while half of a batch decodes, those of the others.</summary>
    public static int ImagesAhead(int slots) => 2 * slots;

    /// <summary>Those of them that are decoded, resized and cut at the same time, each on a core.</summary>
    public static int ImagesInWork(int slots) => Math.Min(Environment.ProcessorCount, ImagesAhead(slots));

    /// <summary>Main memory for images that wait, and for those in work, which take as much again while they are resized and cut.</summary>
    public static long PixelBytes(CaptionFootprint caption, int slots) => (ImagesAhead(slots) + ImagesInWork(slots)) * caption.WaitingBytes;

    /// <summary>Main memory for the images in work as they were decoded: beside the pixels, in .NET's heap.</summary>
    static long DecodedBytes(int slots) => ImagesInWork(slots) * (long)RgbImage.Channels * CaptionFootprint.ImageSide * CaptionFootprint.ImageSide;

    /// <summary>
    /// Numbers of slots worth having: a decode step reads the decoder's weights once for all slots and each slot's cache for itself, so
    /// more slots help until the caches together are as much to read as the weights.
    /// </summary>
    static IEnumerable<int> SlotsThatHelp(ModelFootprint model, Precision precision, DeviceKind device)
    {
        long weights = model.Decoder.Bytes(precision, device), slot = model.Shape.BytesPerSlot(model.Caption.SlotLength, ModelGraphs.Formats(precision, device, model.Shape.HeadSize).Decoder);
        int most = device == DeviceKind.Cpu ? MaxCpuSlots : MaxCudaSlots;
        for (int slots = 1; slots <= most; slots *= 2)
            if (slots <= 2 || (slots / 2) * slot < weights)
                yield return slots;
    }

    /// <summary>
    /// What is left free for others: a sixteenth of the device. On a GPU at least 512 MiB, for the screen and what other programs take
    /// while captions are written; on a CPU at most that.
    /// </summary>
    static long Reserve(ComputeDevice device) =>
        device.Kind == DeviceKind.Cpu ? Math.Min(device.TotalMemoryBytes / 16, 512 * MiB) : Math.Max(device.TotalMemoryBytes / 16, 512 * MiB);

    static long Largest(ModelFootprint model) => Math.Max(model.Vision.Largest, model.Decoder.Largest);

    static long ValueBytes(DeviceKind device) => device == DeviceKind.Cpu ? sizeof(float) : 2;
}
