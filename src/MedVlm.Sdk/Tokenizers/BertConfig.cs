namespace MedVlm.Tokenizers;

/// <summary>What tokenizer_config.json says about a BERT tokenizer. Null: it does not say.</summary>
/// <param name="CleanUpText">Whether decoding cleans up the blanks of the whole text. The reference's default is that it does not.</param>
/// <param name="Lowercase">do_lower_case.</param>
/// <param name="ChineseChars">tokenize_chinese_chars.</param>
/// <param name="StripAccents">strip_accents; where it is null in the file too, as <paramref name="Lowercase"/>.</param>
/// <param name="SpecialTokens">Control tokens: unknown word, end, padding, beginning, mask.</param>
/// <param name="AddedTokens">added_tokens_decoder: tokens with their ids.</param>
internal sealed record BertConfig(
    bool CleanUpText = false, bool? Lowercase = null, bool? ChineseChars = null, bool? StripAccents = null,
    IReadOnlyList<string>? SpecialTokens = null, IReadOnlyList<(string Id, string Token)>? AddedTokens = null)
{
    public const string FileName = "tokenizer_config.json";

    static readonly (string Key, string Token)[] s_specialTokens =
        [("unk_token", "[UNK]"), ("sep_token", "[SEP]"), ("pad_token", "[PAD]"), ("cls_token", "[CLS]"), ("mask_token", "[MASK]")];

    public IReadOnlyList<string> SpecialTokens { get; } = SpecialTokens ?? [.. s_specialTokens.Select(token => token.Token)];

    public IReadOnlyList<(string Id, string Token)> AddedTokens { get; } = AddedTokens ?? [];

    /// <summary>Reads the file beside a tokenizer; without one all is as the reference's defaults say.</summary>
    public static BertConfig Beside(string tokenizerPath)
    {
        var path = Path.Combine(Path.GetDirectoryName(tokenizerPath) ?? "", FileName);
        if (!File.Exists(path))
            return new BertConfig();

        using var document = TokenizerJson.ParseDocument(TokenizerJson.ReadFile(path), FileName);
        return Read(JsonField.Root(FileName, document.RootElement));
    }

    public static BertConfig Read(JsonField root) => new(
        root["clean_up_tokenization_spaces"].Flag(fallback: false), Flag(root["do_lower_case"]), Flag(root["tokenize_chinese_chars"]),
        Flag(root["strip_accents"]), [.. s_specialTokens.Select(token => Token(root[token.Key], token.Token))],
        root["added_tokens_decoder"] is { IsNull: false } added ? [.. added.Fields().Select(token => (token.Name!, token["content"].Text()))] : []);

    /// <summary>Refuses two files that disagree: the releases of the reference differ in which one they follow.</summary>
    public static void RequireSame(JsonField setting, bool? configured, string key)
    {
        if (configured is bool value && !setting.IsNull && setting.Flag() != value)
            throw setting.Refused($"is {setting.Flag()}, but {FileName} has {key} {value}".ToLowerInvariant());
    }

    static bool? Flag(JsonField field) => field.IsNull ? null : field.Flag();

    /// <summary>Text, or the "content" of an object.</summary>
    static string Token(JsonField field, string fallback) =>
        field.IsNull ? fallback : field.Value.ValueKind == System.Text.Json.JsonValueKind.Object ? field["content"].Text() : field.Text();
}
