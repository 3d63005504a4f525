using System.Text.Json;

namespace MedVlm.Tokenizers;

/// <summary>What every tokenizer.json has, for the readers that make one from older files.</summary>
internal static class TokenizerJsonWriting
{
    extension(Utf8JsonWriter json)
    {
        /// <summary>An entry of "added_tokens": a control token, found as it stands.</summary>
        public void WriteControlToken(string token, int id)
        {
            json.WriteStartObject();
            json.WriteNumber("id", id);
            json.WriteString("content", token);
            json.WriteBoolean("special", true);
            foreach (var flag in (string[])["normalized", "lstrip", "rstrip", "single_word"])
                json.WriteBoolean(flag, false);
            json.WriteEndObject();
        }

        /// <summary>The model's "vocab".</summary>
        public void WriteVocabulary(Dictionary<string, int> ids)
        {
            json.WriteStartObject("vocab");
            foreach (var (token, id) in ids)
                json.WriteNumber(token, id);
            json.WriteEndObject();
        }
    }
}
