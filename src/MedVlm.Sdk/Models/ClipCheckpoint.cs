using MedVlm.Checkpoints;

namespace MedVlm.Models;

/// <summary>config.json of a CLIP checkpoint: the two towers, or the vision tower alone (clip_vision_model).</summary>
internal sealed record ClipConfig(ClipVisionConfig VisionConfig);

/// <summary>What the tensors of a CLIP vision tower do not show.</summary>
internal sealed record ClipVisionConfig(int NumAttentionHeads = 12, string HiddenAct = "quick_gelu", float LayerNormEps = 1e-5f);

/// <summary>preprocessor_config.json of a CLIP checkpoint. <c>Resample</c> 3 is Pillow's bicubic.</summary>
internal sealed record ClipProcessorConfig(float[]? ImageMean = null, float[]? ImageStd = null, int Resample = 3);

/// <summary>A vision tower in a folder of its own, as <c>openai/clip-vit-large-patch14-336</c> on the hub is.</summary>
internal static class ClipCheckpoint
{
    const string Tower = "vision_model.";

    /// <summary>Opens the tower that the application or config.json names; it is disposed with the model's checkpoint.</summary>
    /// <param name="source">The model.</param>
    /// <param name="named">What config.json names as <c>mm_vision_tower</c>.</param>
    /// <returns>The vision tower's tensors by their names below "vision_model.".</returns>
    /// <exception cref="ModelNotFoundException">The tower is not on this machine.</exception>
    /// <exception cref="CheckpointException">A file of it is missing or damaged, or its weights are a pickle.</exception>
    /// <exception cref="UnsupportedModelException">It is another tower than CLIP's ViT-L/14.</exception>
    public static IReadOnlyDictionary<string, StoredTensor> Open(ModelSource source, string named)
    {
        var folder = Find(source, named, HubCache.FromEnvironment(Environment.GetEnvironmentVariable));
        if (!FileNames.Exists(Path.Combine(folder, Checkpoint.WeightsFile)) && !FileNames.Exists(Path.Combine(folder, Checkpoint.IndexFile))
            && FileNames.Exists(Path.Combine(folder, "pytorch_model.bin")))
            throw new CheckpointException(
                $"pytorch_model.bin of the vision tower {Fault.Quote(source.VisionTower ?? named)}: weights in pickle format are never read, because a "
                + $"pickle can run code. Convert them once in Python, CLIPVisionModel.from_pretrained(\"{named}\").save_pretrained(folder), and name "
                + "that folder by the option VisionTower.");

        var tower = source.Checkpoint.OpenCompanion(folder);
        Check(tower);
        return tower.Tensors.Where(tensor => tensor.Key.StartsWith(Tower, StringComparison.Ordinal))
            .ToDictionary(tensor => tensor.Key[Tower.Length..], tensor => tensor.Value);
    }

    /// <summary>The tower's folder: what the application names, else what config.json does: a folder, or a hub id in the cache.</summary>
    internal static string Find(ModelSource source, string named, HubCache cache)
    {
        if (source.VisionTower is { } option)
            return ModelLocator.Find(option, cache);

        // config.json is not trusted: a folder that it names is looked for on this machine only.
        bool isNetworkPath = named.StartsWith(@"\\", StringComparison.Ordinal) || named.StartsWith("//", StringComparison.Ordinal);
        var folder = isNetworkPath || named.Any(char.IsControl) ? null : Path.Combine(source.Checkpoint.Folder, named);
        if (folder is not null && Directory.Exists(folder))
            return folder;
        try
        {
            return ModelLocator.Find(isNetworkPath ? "" : named, cache);
        }
        catch (ModelNotFoundException e)
        {
            throw new ModelNotFoundException(
                $"The checkpoint holds no vision tower of its own, and the one that config.json names (mm_vision_tower {Fault.Quote(named)}) "
                + $"was not found. {e.Message}\nOr name its folder by the option VisionTower.", e);
        }
    }

    static void Check(Checkpoint tower)
    {
        var type = tower.ReadJson(Checkpoint.ConfigFile, FamilyJson.Default.ModelType).Name;
        Unsupported.Unless(type is "clip" or "clip_vision_model", "The vision tower's model_type", type);
        var vision = type == "clip"
            ? tower.ReadJson(Checkpoint.ConfigFile, FamilyJson.Default.ClipConfig).VisionConfig
            : tower.ReadJson(Checkpoint.ConfigFile, FamilyJson.Default.ClipVisionConfig);
        Unsupported.Unless(vision.NumAttentionHeads == ClipTower.NumAttentionHeads, "The vision tower's num_attention_heads", $"{vision.NumAttentionHeads}");
        Unsupported.Unless(vision.HiddenAct == "quick_gelu", "The vision tower's hidden_act", vision.HiddenAct);
        Unsupported.Unless(vision.LayerNormEps == ClipTower.LayerNormEps, "The vision tower's layer_norm_eps", $"{vision.LayerNormEps}");

        if (tower.TryReadJson("preprocessor_config.json", FamilyJson.Default.ClipProcessorConfig) is { } processor)
        {
            Unsupported.Unless(processor.ImageMean is null || ClipTower.Mean.SequenceEqual(processor.ImageMean), "The vision tower's image_mean", "another");
            Unsupported.Unless(processor.ImageStd is null || ClipTower.Std.SequenceEqual(processor.ImageStd), "The vision tower's image_std", "another");
            Unsupported.Unless(processor.Resample == 3, "The vision tower's resample", $"{processor.Resample}");
        }
    }
}
