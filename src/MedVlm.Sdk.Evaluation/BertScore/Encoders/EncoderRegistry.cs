using System.Text.Json.Serialization;
using MedVlm.Checkpoints;

namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>Readers for the configuration records, written at compile time (no reflection).</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(EncoderType))]
[JsonSerializable(typeof(BertConfig))]
[JsonSerializable(typeof(DebertaConfig))]
[JsonSerializable(typeof(EncoderTokenizerConfig))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
internal sealed partial class EncoderJson : JsonSerializerContext;

/// <summary>The key of config.json that names the family.</summary>
internal sealed record EncoderType(string ModelType);

/// <summary>Picks the family of an encoder from config.json.</summary>
internal static class EncoderRegistry
{
    static readonly Dictionary<string, Func<Checkpoint, TextEncoder>> s_families = new()
    {
        [Bert.BertType] = checkpoint => new Bert(checkpoint.ReadJson(Checkpoint.ConfigFile, EncoderJson.Default.BertConfig)),
        [Bert.RobertaType] = checkpoint => new Bert(checkpoint.ReadJson(Checkpoint.ConfigFile, EncoderJson.Default.BertConfig)),
        [Deberta.Type] = checkpoint => new Deberta(checkpoint.ReadJson(Checkpoint.ConfigFile, EncoderJson.Default.DebertaConfig)),
        [DebertaV2.Type] = checkpoint => new DebertaV2(checkpoint.ReadJson(Checkpoint.ConfigFile, EncoderJson.Default.DebertaConfig)),
    };

    /// <exception cref="UnsupportedModelException">model_type is none of these.</exception>
    public static TextEncoder Create(Checkpoint checkpoint)
    {
        var type = checkpoint.ReadJson(Checkpoint.ConfigFile, EncoderJson.Default.EncoderType).ModelType;
        return s_families.TryGetValue(type, out var create)
            ? create(checkpoint)
            : throw new UnsupportedModelException(
                $"config.json: model_type is {type}, of which BERTScore has no encoder. It has: {string.Join(", ", s_families.Keys)} (docs/bertscore.md).");
    }
}
