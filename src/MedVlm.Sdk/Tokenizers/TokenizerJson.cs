using System.Text.Json;

namespace MedVlm.Tokenizers;

/// <summary>Reads the tokenizer.json of Hugging Face's tokenizers library.</summary>
/// <remarks>The file is not trusted: sizes are bounded before memory is taken, any fault is a <see cref="CheckpointException"/>.</remarks>
internal static class TokenizerJson
{
    /// <summary>The vocabulary tables grow with the largest id; the largest vocabularies have some 260,000.</summary>
    public const int LargestId = (1 << 22) - 1;

    const int LargestFileMiB = 256;

    public static Tokenizer Load(string path) => Parse(ReadFile(path), Path.GetFileName(path), () => BertConfig.Beside(path));

    /// <summary>A file's bytes, if they are not too many.</summary>
    public static byte[] ReadFile(string path)
    {
        var file = Path.GetFileName(path);
        try
        {
            var bytes = new FileInfo(path).Length;
            return bytes <= LargestFileMiB << 20
                ? File.ReadAllBytes(path)
                : throw new CheckpointException($"{file}: {bytes >> 20} MiB; at most {LargestFileMiB} MiB are read. It is no tokenizer.");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CheckpointException($"{file}: not in the checkpoint's folder. Download the checkpoint completely.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{file}: cannot be read ({e.Message})", e);
        }
    }

    /// <param name="json">The file.</param>
    /// <param name="file">Its name.</param>
    /// <param name="config">Reads the tokenizer_config.json beside it, where the kind of tokenizer needs that.</param>
    public static Tokenizer Parse(ReadOnlyMemory<byte> json, string file, Func<BertConfig>? config = null)
    {
        using var document = ParseDocument(json, file);
        var root = JsonField.Root(file, document.RootElement);
        return root["model"]["type"] switch
        {
            { IsNull: false } type when type.Text() == "BPE" =>
                root["model"]["byte_fallback"].Flag(fallback: false) ? ByteFallbackJson.Read(root) : ByteLevelJson.Read(root),
            { IsNull: false } type when type.Text() == "WordPiece" => WordPieceJson.Read(root, config?.Invoke() ?? new BertConfig()),
            { IsNull: false } type when type.Text() == "Unigram" => UnigramJson.Read(root),
            var type => throw type.Unsupported("\"BPE\"", "\"WordPiece\"", "\"Unigram\""),
        };
    }

    /// <summary>The vocabulary with added tokens, after checking that each id means one token.</summary>
    public static (Vocabulary, List<AddedToken>) AddTokens(Dictionary<string, int> model, JsonField addedTokens)
    {
        var added = new List<AddedToken>();
        var fields = addedTokens.Items().ToList();
        var (contents, ids) = (new HashSet<string>(), new Dictionary<int, string>());
        foreach (var field in fields)
        {
            var token = ReadAddedToken(field);
            if (!contents.Add(token.Content))
                throw field["content"].Damaged($"is \"{token.Content}\", as in an entry before it");
            if (model.TryGetValue(token.Content, out var id) && id != token.Id)
                throw field["id"].Damaged($"is {token.Id}, but \"{token.Content}\" is {id} in model.vocab");
            if (!ids.TryAdd(token.Id, token.Content))
                throw field["id"].Damaged($"is {token.Id}, which \"{ids[token.Id]}\" has already");
            added.Add(token);
        }
        foreach (var (token, id) in model)
            if (ids.TryGetValue(id, out var other) && other != token)
                throw fields[added.FindIndex(entry => entry.Id == id)]["id"].Damaged($"is {id}, which \"{token}\" has already");
        return (new Vocabulary(model, added), added);
    }

    /// <summary>Only because no checkpoint needs it: a plain range would have to be followed through the normalization.</summary>
    public static void RefuseNormalized(List<AddedToken> added, JsonField addedTokens)
    {
        if (added.FindIndex(token => token.Normalized) is >= 0 and var index)
            throw addedTokens.Items().ElementAt(index)["normalized"].Unsupported("false beside a normalizer");
    }

    static AddedToken ReadAddedToken(JsonField field)
    {
        var content = field["content"];
        return content.Text().Length == 0
            ? throw content.Wrong("text that is not empty")
            : new AddedToken(
                field["id"].Whole(LargestId), content.Text(), field["special"].Flag(), field["normalized"].Flag(),
                field["lstrip"].Flag(), field["rstrip"].Flag(), field["single_word"].Flag());
    }

    public static JsonDocument ParseDocument(ReadOnlyMemory<byte> json, string file)
    {
        try
        {
            return JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            var place = e.LineNumber is long line ? $" (line {line + 1}, byte {e.BytePositionInLine + 1})" : "";
            throw new CheckpointException(
                $"{file}: no valid JSON, or a key stands twice in it{place}. "
                + "The file is damaged: take it anew from the checkpoint's source.", e);
        }
    }
}
