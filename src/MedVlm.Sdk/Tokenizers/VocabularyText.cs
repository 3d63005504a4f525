using System.Text.Json;

namespace MedVlm.Tokenizers;

/// <summary>Reads a vocab.txt: one token a line, its id the line's number, as the tokenizer.json that the reference makes of it.</summary>
internal static class VocabularyText
{
    public const string FileName = "vocab.txt";

    public static Tokenizer Load(string path) => Parse(TokenizerJson.ReadFile(path), BertConfig.Beside(path));

    public static Tokenizer Parse(byte[] text, BertConfig config)
    {
        var ids = ReadLines(text);
        foreach (var (id, token) in config.AddedTokens)
            if (!ids.TryGetValue(token, out var line) || $"{line}" != id)
                throw new CheckpointException(
                    $"{BertConfig.FileName}: added_tokens_decoder has \"{token}\" as {id}, which {FileName} does not. "
                    + "Take a revision of the checkpoint that has a tokenizer.json.");

        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json))
            Write(writer, ids, config);
        return TokenizerJson.Parse(json.ToArray(), FileName, () => config);
    }

    static Dictionary<string, int> ReadLines(byte[] text)
    {
        var ids = new Dictionary<string, int>();
        using var reader = new StreamReader(new MemoryStream(text));
        var lines = reader.ReadToEnd().TrimEnd('\r', '\n').Split('\n');
        foreach (var (id, line) in lines.Index())
            if (id > TokenizerJson.LargestId)
                throw Damaged($"has more than {TokenizerJson.LargestId + 1} lines");
            else if (!ids.TryAdd(line.TrimEnd('\r'), id))
                throw Damaged($"line {id + 1} repeats line {ids[line.TrimEnd('\r')] + 1}");
        return ids;
    }

    static void Write(Utf8JsonWriter json, Dictionary<string, int> ids, BertConfig config)
    {
        json.WriteStartObject();

        json.WriteStartArray("added_tokens");
        foreach (var token in config.SpecialTokens.Distinct())
            json.WriteControlToken(token, ids.TryGetValue(token, out var id) ? id : throw Damaged($"has no line \"{token}\", which is a control token"));
        json.WriteEndArray();

        json.WriteStartObject("normalizer");
        json.WriteString("type", "BertNormalizer");
        json.WriteBoolean("clean_text", true);
        json.WriteBoolean("handle_chinese_chars", config.ChineseChars ?? true);
        json.WriteBoolean("lowercase", config.Lowercase ?? true);
        if (config.StripAccents is bool strip)
            json.WriteBoolean("strip_accents", strip);
        json.WriteEndObject();

        json.WriteStartObject("pre_tokenizer");
        json.WriteString("type", "BertPreTokenizer");
        json.WriteEndObject();

        json.WriteStartObject("post_processor");
        json.WriteString("type", "BertProcessing");
        json.WriteEndObject();

        json.WriteStartObject("decoder");
        json.WriteString("type", "WordPiece");
        json.WriteString("prefix", "##");
        json.WriteBoolean("cleanup", true);
        json.WriteEndObject();

        json.WriteStartObject("model");
        json.WriteString("type", "WordPiece");
        json.WriteString("unk_token", config.SpecialTokens[0]);
        json.WriteString("continuing_subword_prefix", "##");
        json.WriteNumber("max_input_chars_per_word", WordPieceJson.LongestWord);
        json.WriteVocabulary(ids);
        json.WriteEndObject();

        json.WriteEndObject();
    }

    static CheckpointException Damaged(string fault) =>
        new($"{FileName}: {fault}. The file is damaged: take it anew from the checkpoint's source.");
}
