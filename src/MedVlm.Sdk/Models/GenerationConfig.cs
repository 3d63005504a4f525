using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace MedVlm.Models;

/// <summary>generation_config.json, as far as it bears on greedy decoding.</summary>
/// <param name="EosTokenId">Tokens that end a caption: one number or a list.</param>
/// <param name="RepetitionPenalty">Default penalty (arXiv:1909.05858), 1 is none.</param>
internal sealed record GenerationConfig(
    [property: JsonConverter(typeof(GenerationConfig.OneOrMany))] int[]? EosTokenId = null, float RepetitionPenalty = 1)
{
    /// <exception cref="CheckpointException">A value is out of its range.</exception>
    public GenerationConfig Checked() => RepetitionPenalty > 0 && float.IsFinite(RepetitionPenalty) ? this : throw new CheckpointException(
        $"generation_config.json: repetition_penalty is {RepetitionPenalty.ToString(CultureInfo.InvariantCulture)}, but it must be above 0. The file is damaged: fetch it again.");

    internal sealed class OneOrMany : JsonConverter<int[]>
    {
        public override int[]? Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
        {
            if (reader.TokenType == JsonTokenType.Number)
                return [reader.GetInt32()];
            if (reader.TokenType != JsonTokenType.StartArray)
                throw new JsonException("expected a token id or a list of them");

            var ids = new List<int>();
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                ids.Add(reader.GetInt32());
            return [.. ids];
        }

        public override void Write(Utf8JsonWriter writer, int[] value, JsonSerializerOptions options) => throw new NotSupportedException();
    }
}

/// <summary>medvlm.json: what whoever packs a checkpoint for this library may add to it.</summary>
/// <param name="Name">Name of the model in results and logs.</param>
/// <param name="DefaultPrompt">Prompt of a request that brings none.</param>
/// <param name="Notice">Text that is logged once when the model is loaded.</param>
internal sealed record CheckpointNotes(string? Name = null, string? DefaultPrompt = null, string? Notice = null);
