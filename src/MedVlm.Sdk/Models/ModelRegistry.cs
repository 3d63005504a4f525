using System.Collections.Frozen;
using MedVlm.Checkpoints;

namespace MedVlm.Models;

/// <summary>Which family runs a checkpoint: one line for each <c>model_type</c> of config.json.</summary>
internal static class ModelRegistry
{
    static readonly FrozenDictionary<string, Func<Checkpoint, ModelFamily>> s_families =
        new Dictionary<string, Func<Checkpoint, ModelFamily>>
        {
            ["blip"] = checkpoint => new Blip(checkpoint),
            ["idefics3"] = checkpoint => new SmolVlm(checkpoint),
            ["qwen2_5_vl"] = checkpoint => new Qwen25Vl(checkpoint),
            ["qwen2_vl"] = checkpoint => new Qwen2Vl(checkpoint),
            ["smolvlm"] = checkpoint => new SmolVlm(checkpoint),
        }.ToFrozenDictionary();

    /// <summary>The <c>model_type</c>s that this library runs.</summary>
    public static IEnumerable<string> Supported => s_families.Keys.Order(StringComparer.Ordinal);

    /// <summary>Refuses a checkpoint of an unknown family before its weights are looked for, which may not even be downloaded.</summary>
    /// <exception cref="UnsupportedModelException">No family of this <c>model_type</c>.</exception>
    /// <exception cref="CheckpointException">config.json is damaged.</exception>
    public static void RefuseUnsupported(string folder)
    {
        if (File.Exists(Path.Combine(folder, Checkpoint.ConfigFile)))
            Factory(JsonFile.Read(Path.Combine(folder, Checkpoint.ConfigFile), FamilyJson.Default.ModelType).Name);
    }

    /// <summary>Reads config.json and makes the family that it names.</summary>
    /// <exception cref="UnsupportedModelException">No family of this <c>model_type</c>.</exception>
    /// <exception cref="CheckpointException">A file is missing or damaged.</exception>
    public static ModelFamily Create(Checkpoint checkpoint) =>
        Factory(checkpoint.ReadJson(Checkpoint.ConfigFile, FamilyJson.Default.ModelType).Name)(checkpoint);

    static Func<Checkpoint, ModelFamily> Factory(string modelType) =>
        s_families.TryGetValue(modelType, out var create)
            ? create
            : throw new UnsupportedModelException(
                $"config.json: model_type is {Fault.Quote(modelType)}, which this version of MedVlm.Sdk does not run. "
                + $"Supported: {string.Join(", ", Supported)}.");
}
