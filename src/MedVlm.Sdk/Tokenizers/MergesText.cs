using System.Text.Json;

namespace MedVlm.Tokenizers;

/// <summary>Reads the two files of a GPT-2 tokenizer, vocab.json and merges.txt, as the tokenizer.json that the reference makes of them.</summary>
internal static class MergesText
{
    public const string VocabularyFile = "vocab.json", MergesFile = "merges.txt";

    const string VersionLine = "#version";

    // Control tokens of RoBERTa and DeBERTa; GPT-2's own vocabulary has none of them.
    static readonly string[] s_controlTokens =
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"];

    /// <param name="path">vocab.json; merges.txt lies beside it.</param>
    public static Tokenizer Load(string path) =>
        Parse(TokenizerJson.ReadFile(path), TokenizerJson.ReadFile(Path.Combine(Path.GetDirectoryName(path) ?? "", MergesFile)));

    public static Tokenizer Parse(byte[] vocabulary, byte[] merges)
    {
        using var document = TokenizerJson.ParseDocument(vocabulary, VocabularyFile);
        var ids = ByteLevelJson.ReadVocabulary(JsonField.Root(VocabularyFile, document.RootElement));

        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json))
            Write(writer, ids, Lines(merges));
        return TokenizerJson.Parse(json.ToArray(), $"{VocabularyFile} and {MergesFile}");
    }

    /// <summary>A pair of tokens a line, best first, behind a line with the format's version.</summary>
    static IEnumerable<string> Lines(byte[] merges)
    {
        using var reader = new StreamReader(new MemoryStream(merges));
        for (int number = 0; reader.ReadLine() is string line; number++)
            if (line.Length > 0 && !(number == 0 && line.StartsWith(VersionLine, StringComparison.Ordinal)))
                yield return line;
    }

    static void Write(Utf8JsonWriter json, Dictionary<string, int> ids, IEnumerable<string> merges)
    {
        json.WriteStartObject();

        json.WriteStartArray("added_tokens");
        foreach (var token in s_controlTokens.Where(ids.ContainsKey))
            json.WriteControlToken(token, ids[token]);
        json.WriteEndArray();

        json.WriteStartObject("pre_tokenizer");
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteEndObject();

        json.WriteStartObject("decoder");
        json.WriteString("type", "ByteLevel");
        json.WriteEndObject();

        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteVocabulary(ids);
        json.WriteStartArray("merges");
        foreach (var merge in merges)
            json.WriteStringValue(merge);
        json.WriteEndArray();
        json.WriteEndObject();

        json.WriteEndObject();
    }
}
