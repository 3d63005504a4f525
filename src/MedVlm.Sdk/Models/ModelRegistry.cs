using System.Collections.Frozen;
using MedVlm.Checkpoints;

namespace MedVlm.Models;

/// <summary>Which family runs a checkpoint: one line for each <c>model_type</c> of config.json.</summary>
internal static class ModelRegistry
{
    static readonly FrozenDictionary<string, Func<ModelSource, ModelFamily>> s_families =
        new Dictionary<string, Func<ModelSource, ModelFamily>>
        {
            ["blip"] = source => new Blip(source.Checkpoint),
            ["idefics3"] = source => new SmolVlm(source.Checkpoint),
            ["llava_mistral"] = source => new LlavaMed(source),
            ["moondream1"] = source => new Moondream2(source),
            ["phi3_v"] = source => new Phi35Vision(source.Checkpoint),
            ["qwen2_5_vl"] = source => new Qwen25Vl(source.Checkpoint),
            ["qwen2_vl"] = source => new Qwen2Vl(source.Checkpoint),
            ["smolvlm"] = source => new SmolVlm(source.Checkpoint),
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
    /// <exception cref="ModelNotFoundException">A companion repository is not on this machine.</exception>
    public static ModelFamily Create(ModelSource source) =>
        Factory(source.Checkpoint.ReadJson(Checkpoint.ConfigFile, FamilyJson.Default.ModelType).Name)(source);

    static Func<ModelSource, ModelFamily> Factory(string modelType) =>
        s_families.TryGetValue(modelType, out var create)
            ? create
            : throw new UnsupportedModelException(
                $"config.json: model_type is {Fault.Quote(modelType)}, which this version of MedVlm.Sdk does not run. "
                + $"Supported: {string.Join(", ", Supported)}.");
}
