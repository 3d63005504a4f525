using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;

namespace MedVlm.Devices;

/// <summary>Plans for what an application's options name: reads the checkpoint's headers, and prepares one image to see what it becomes.</summary>
internal static class ModelPlanner
{
    /// <summary>What of the options bears on a plan, as it is now: the application may change them afterwards.</summary>
    public static MedicalCaptionerOptions Snapshot(MedicalCaptionerOptions options) => new()
    {
        Model = options.Model, VisionTower = options.VisionTower, Tokenizer = options.Tokenizer, Precision = options.Precision, Slots = options.Slots, Threads = options.Threads, Device = options.Device,
        MaxDeviceMemoryMiB = options.MaxDeviceMemoryMiB, VisionCacheMiB = options.VisionCacheMiB, Adapter = options.Adapter,
        ImageLimits = new ImageLimits { MaxBytes = options.ImageLimits.MaxBytes, MaxPixels = options.ImageLimits.MaxPixels }, DefaultCaption = options.DefaultCaption.Snapshot(),
    };

    /// <summary>A checkpoint with what the options name beside it.</summary>
    public static ModelSource SourceOf(MedicalCaptionerOptions options, Checkpoint checkpoint) => new(checkpoint, options.VisionTower, options.Tokenizer);

    /// <summary>The plan for a model in the cache or a folder; for one of the seven that is not there, from its published sizes.</summary>
    /// <inheritdoc cref="MedicalCaptioner.PlanAsync" path="/exception"/>
    public static MemoryPlan Plan(MedicalCaptionerOptions options, ComputeDevice device, CancellationToken cancellationToken)
    {
        string folder;
        try
        {
            folder = ModelLocator.Find(options.Model);
        }
        catch (ModelNotFoundException) when (KnownModels.Find(options.Model) is { } known)
        {
            var caption = known.Caption with { NewTokens = options.DefaultCaption.MaxNewTokens };
            return Plan(options, device, isLocal: false, known with { Caption = caption });
        }

        ModelRegistry.RefuseUnsupported(folder);
        using var checkpoint = Checkpoint.Open(folder);
        cancellationToken.ThrowIfCancellationRequested();
        var family = ModelRegistry.Create(SourceOf(options, checkpoint));
        var notes = checkpoint.TryReadJson("medvlm.json", FamilyJson.Default.CheckpointNotes) ?? new();
        return Plan(options, device, family, notes, family.Tensors(checkpoint));
    }

    /// <summary>The plan for a model whose checkpoint is open.</summary>
    public static MemoryPlan Plan(
        MedicalCaptionerOptions options, ComputeDevice device, ModelFamily family, CheckpointNotes notes, IReadOnlyDictionary<string, StoredTensor> tensors)
    {
        var (graphs, caption) = Beside.Run(
            () => ModelGraphs.Build(family, tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo(tensor.Value.File.FileName, tensor.Value.Shape))),
            () => Caption(family, notes, options.DefaultCaption));
        using var adapter = options.Adapter is null ? null : LoraAdapter.Open(ModelLocator.FindAdapter(options.Adapter));
        var deltas = adapter?.Bind(tensors, family.ModuleNames);
        var names = graphs.Vision.Weights.Concat(graphs.Decoder.Weights).Select(use => use.StoredName).Distinct();
        var footprint = ModelFootprint.Of(family, graphs, name => (tensors[name].Shape.Length, tensors[name].Length), caption) with
        {
            OwnBytes = WeightMemory.BytesOf(names, tensors, name => deltas?.ContainsKey(name) == true),
        };
        return Plan(options, device, isLocal: true, footprint);
    }

    static MemoryPlan Plan(MedicalCaptionerOptions options, ComputeDevice device, bool isLocal, ModelFootprint footprint)
    {
        if (options.Precision != Precision.Auto && !MemoryPlanner.PrecisionsOf(device.Kind).Contains(options.Precision))
            throw new MedVlmException(
                $"Precision {options.Precision} does not run on {device.Name}. Take Auto, or one of {string.Join(", ", MemoryPlanner.PrecisionsOf(device.Kind))}.");

        return MemoryPlanner.Plan(options.Model, isLocal, footprint, device, PlanRequest.Of(options));
    }

    /// <summary>What a caption of a square image asks for. A black one will do: its size decides.</summary>
    public static CaptionFootprint Caption(ModelFamily family, CheckpointNotes notes, CaptionOptions options)
    {
        const int Side = CaptionFootprint.ImageSide;
        var image = RgbImage.Black(Side, Side);
        var prompt = options.Prompt ?? notes.DefaultPrompt ?? family.DefaultPrompt ?? CaptionOptions.DefaultPrompt;
        try
        {
            return Footprint(prompt, options);
        }
        catch (MedVlmException)
        {
            // Options that this family cannot take fail the requests that use them, not the load.
            return Footprint(family.DefaultPrompt ?? CaptionOptions.DefaultPrompt, new CaptionOptions());
        }

        CaptionFootprint Footprint(string prompt, CaptionOptions planned)
        {
            var inputs = family.Prepare([image], prompt, planned);
            try
            {
                return CaptionFootprint.Of(inputs, options.MaxNewTokens);
            }
            finally
            {
                inputs.WithoutImages();
            }
        }
    }
}
