using System.Text.Json.Serialization;

namespace MedVlm.Models;

/// <summary>Readers for the families' configuration records, written at compile time (no reflection).</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(BlipConfig))]
[JsonSerializable(typeof(BlipProcessorConfig))]
[JsonSerializable(typeof(Moondream2Config))]
[JsonSerializable(typeof(SmolVlmConfig))]
[JsonSerializable(typeof(SmolVlmProcessorConfig))]
[JsonSerializable(typeof(LlavaMedConfig))]
[JsonSerializable(typeof(Phi35VisionConfig))]
[JsonSerializable(typeof(Phi35VisionProcessorConfig))]
[JsonSerializable(typeof(ClipConfig))]
[JsonSerializable(typeof(ClipVisionConfig))]
[JsonSerializable(typeof(ClipProcessorConfig))]
[JsonSerializable(typeof(QwenVlConfig))]
[JsonSerializable(typeof(Qwen2VlConfig))]
[JsonSerializable(typeof(Qwen25VlConfig))]
[JsonSerializable(typeof(QwenProcessorConfig))]
[JsonSerializable(typeof(ModelType))]
[JsonSerializable(typeof(GenerationConfig))]
[JsonSerializable(typeof(CheckpointNotes))]
internal sealed partial class FamilyJson : JsonSerializerContext;

/// <summary>The key of config.json that names the family.</summary>
internal sealed record ModelType([property: JsonPropertyName("model_type")] string Name);
