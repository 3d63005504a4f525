using System.Collections.Frozen;

namespace MedVlm.Models;

/// <summary>Which family runs a checkpoint: one line for each <c>model_type</c> of config.json.</summary>
internal static class ModelRegistry
{
    static readonly FrozenDictionary<string, Func<ModelSource, ModelFamily>> s_families =
        new Dictionary<string, Func<ModelSource, ModelFamily>>
        {
            ["idefics3"] = source => new SmolVlm(source.Checkpoint),
            ["llava_mistral"] = source => new LlavaMed(source),
            ["phi3_v"] = source => new Phi35Vision(source.Checkpoint),
            ["smolvlm"] = source => new SmolVlm(source.Checkpoint),
        }.ToFrozenDictionary();

    /// <summary>The <c>model_type</c>s that this library runs.</summary>
    public static IEnumerable<string> Supported => s_families.Keys.Order(StringComparer.Ordinal);

    /// <summary>Reads config.json and makes the family that it names.</summary>
    /// <exception cref="UnsupportedModelException">No family of this <c>model_type</c>.</exception>
    /// <exception cref="CheckpointException">A file is missing or damaged.</exception>
    public static ModelFamily Create(ModelSource source)
    {
        var type = source.Checkpoint.ReadJson("config.json", FamilyJson.Default.ModelType).Name;
        if (!s_families.TryGetValue(type, out var create))
            throw new UnsupportedModelException(
                $"config.json: model_type is \"{type}\", which this version of MedVlm.Sdk does not run. "
                + $"Supported: {string.Join(", ", Supported)}.");

        return create(source);
    }
}
