using System.Text.Json;
using System.Text.Json.Nodes;
using MedVlm.Checkpoints;
using MedVlm.Tokenizers;

namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>tokenizer_config.json, as far as it bears on ids.</summary>
/// <param name="ModelMaxLength">Tokens of a text, control tokens included; transformers writes 10^30 for none.</param>
/// <param name="AddPrefixSpace">A blank goes in front of each text.</param>
/// <param name="DoLowerCase">SentencePiece: lower case first. (BERT's own reader looks at this key too.)</param>
/// <param name="SplitByPunct">SentencePiece: cuts at punctuation first; not supported.</param>
internal sealed record EncoderTokenizerConfig(
    double? ModelMaxLength = null, bool AddPrefixSpace = false, bool? DoLowerCase = null, bool SplitByPunct = false);

/// <summary>Texts to ids as bert-score has them: stripped, cut to the model's length, between the two control tokens.</summary>
/// <remarks>Truncation and padding that a tokenizer.json asks for are never applied: bert-score pads by itself, and not to these lengths.</remarks>
internal sealed class EncoderTokenizer
{
    /// <summary>Those around each text.</summary>
    public const int ControlTokens = 2;

    const string TokenizerFile = "tokenizer.json";

    readonly Tokenizer _tokenizer;
    readonly bool _prefixBlank;

    internal EncoderTokenizer(Tokenizer tokenizer, bool prefixBlank, int maxTokens)
    {
        (_tokenizer, _prefixBlank, MaxTokens) = (tokenizer, prefixBlank, maxTokens);
        (Start, End) = (tokenizer.TokenId("[CLS]"), tokenizer.TokenId("[SEP]"), tokenizer.TokenId("<s>"), tokenizer.TokenId("</s>")) switch
        {
            (int cls, int sep, _, _) => (cls, sep),
            (_, _, int begin, int end) => (begin, end),
            _ => throw new CheckpointException(
                "The tokenizer has neither \"[CLS]\" and \"[SEP]\" nor \"<s>\" and \"</s>\", one of which pairs an encoder's texts stand between. "
                + "Tokenizer and config.json are of different models: take all files from one revision."),
        };
    }

    /// <summary>The control token in front of each text.</summary>
    public int Start { get; }

    /// <summary>The control token behind each text.</summary>
    public int End { get; }

    /// <summary>Tokens of a text, the two control tokens included.</summary>
    public int MaxTokens { get; }

    /// <summary>One more than the largest id.</summary>
    public int VocabularySize => _tokenizer.VocabularySize;

    /// <summary>Reads the files of a checkpoint: those that bert-score's tokenizers read where they are there, else tokenizer.json.</summary>
    /// <exception cref="CheckpointException">No tokenizer is there, or it is damaged or of a kind that is not run.</exception>
    public static EncoderTokenizer Load(Checkpoint checkpoint, TextEncoder encoder)
    {
        var config = checkpoint.TryReadJson(MedVlm.Tokenizers.BertConfig.FileName, EncoderJson.Default.EncoderTokenizerConfig) ?? new();
        if (config.SplitByPunct)
            throw new CheckpointException("tokenizer_config.json: split_by_punct is true; supported is false. This library cannot run this tokenizer.");

        bool prefixBlank = encoder.PrefixBlank || config.AddPrefixSpace;
        var tokenizer = checkpoint.Has(UnigramFile.FileName) ? UnigramFile.Load(checkpoint.PathOf(UnigramFile.FileName), config.DoLowerCase ?? false)
            : checkpoint.Has(MergesText.VocabularyFile) && checkpoint.Has(MergesText.MergesFile) ? Tokenizer.Load(checkpoint.PathOf(MergesText.VocabularyFile))
            : checkpoint.Has(VocabularyText.FileName) ? Tokenizer.Load(checkpoint.PathOf(VocabularyText.FileName))
            : checkpoint.Has(TokenizerFile) ? FromJson(checkpoint.PathOf(TokenizerFile), ref prefixBlank)
            : throw new CheckpointException(
                $"The checkpoint has no tokenizer: neither {UnigramFile.FileName}, nor {MergesText.VocabularyFile} with {MergesText.MergesFile}, nor "
                + $"{VocabularyText.FileName}, nor {TokenizerFile}. The download is incomplete: fetch the checkpoint again.");

        double most = Math.Min(encoder.MaxTokens, config.ModelMaxLength ?? encoder.MaxTokens);
        return most > ControlTokens
            ? new EncoderTokenizer(tokenizer, prefixBlank, (int)most)
            : throw new CheckpointException($"tokenizer_config.json: model_max_length is {config.ModelMaxLength}, which leaves no room for a text. The file is damaged: fetch it again.");
    }

    /// <summary>Ids of a text, <see cref="Start"/> and <see cref="End"/> included: two of them where nothing else is in it.</summary>
    public int[] Encode(string text)
    {
        var stripped = text.AsSpan().Trim(WhiteSpace).ToString();
        if (stripped.Length == 0)
            return [Start, End];

        var ids = _tokenizer.Encode(_prefixBlank ? " " + stripped : stripped);
        return [Start, .. ids.AsSpan(0, Math.Min(ids.Length, MaxTokens - ControlTokens)), End];
    }

    /// <summary>What Python's str.strip takes away: Unicode's white space, and the four separators of ASCII, which .NET does not count.</summary>
    static readonly string WhiteSpace = new(
        [.. Enumerable.Range(0, char.MaxValue + 1).Select(c => (char)c).Where(c => char.IsWhiteSpace(c) || c is >= '\u001C' and <= '\u001F')]);

    /// <summary>A tokenizer.json without what it puts around the text: <see cref="Encode"/> does that.</summary>
    static Tokenizer FromJson(string path, ref bool prefixBlank)
    {
        var bytes = TokenizerJson.ReadFile(path);
        try
        {
            var root = JsonNode.Parse(bytes, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (root is not JsonObject whole || whole["model"] is not JsonObject model || model["type"]?.ToString() != "BPE")
                return TokenizerJson.Load(path);

            whole["post_processor"] = null;
            if (whole["pre_tokenizer"] is JsonObject split && split["add_prefix_space"] is JsonValue value && value.TryGetValue(out bool blank) && blank)
            {
                split["add_prefix_space"] = false;
                prefixBlank = true;
            }
            bytes = JsonSerializer.SerializeToUtf8Bytes(whole, EncoderJson.Default.JsonObject);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            return TokenizerJson.Load(path);   // says what is wrong with it
        }
        return TokenizerJson.Parse(bytes, Path.GetFileName(path));
    }
}
