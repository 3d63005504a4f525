using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>Text to the token ids that a checkpoint was trained on, and back.</summary>
/// <remarks>Nothing changes after loading: one tokenizer serves many threads at once.</remarks>
internal sealed class Tokenizer
{
    readonly Vocabulary _vocabulary;
    readonly AddedTokens _inRawText;
    readonly AddedTokens _inNormalizedText;
    readonly ITokenModel _model;
    readonly Func<ITokenDecoder> _newDecoder;

    internal Tokenizer(Vocabulary vocabulary, IReadOnlyList<AddedToken> added, ITokenModel model, Func<ITokenDecoder> newDecoder,
        int[]? start = null)
    {
        _vocabulary = vocabulary;
        _inRawText = new AddedTokens([.. added.Where(token => !token.Normalized)]);
        _inNormalizedText = new AddedTokens([.. added.Where(token => token.Normalized)]);
        _model = model;
        _newDecoder = newDecoder;
        Start = start ?? [];
    }

    /// <summary>
    /// Reads a tokenizer.json, a SentencePiece tokenizer.model, a BERT's vocab.txt, or a GPT-2's vocab.json with the merges.txt beside it;
    /// with the tokenizer_config.json beside it where it matters.
    /// </summary>
    /// <exception cref="CheckpointException">The file is missing, malformed, or of a kind that this library does not run.</exception>
    public static Tokenizer Load(string path) => Path.GetFileName(path) switch
    {
        SentencePieceFile.FileName => SentencePieceFile.Load(path),
        VocabularyText.FileName => VocabularyText.Load(path),
        MergesText.VocabularyFile => MergesText.Load(path),
        _ => TokenizerJson.Load(path),
    };

    /// <summary>Tokens that the checkpoint wants in front of a text (<c>&lt;s&gt;</c>), which <see cref="Encode"/> leaves to the families.</summary>
    public IReadOnlyList<int> Start { get; }

    /// <summary>One more than the largest token id.</summary>
    public int VocabularySize => _vocabulary.Size;

    /// <summary>Id of a token as tokenizer.json writes it; null if there is none.</summary>
    /// <remarks>A byte-level vocabulary has "Ġimage", not " image". Added tokens are written as they are.</remarks>
    public int? TokenId(string token) => _vocabulary.TokenId(token);

    /// <summary>Whether the id is a control token, which never belongs into a caption.</summary>
    public bool IsSpecial(int id) => _vocabulary.IsSpecial(id);

    /// <summary>The ids of <paramref name="text"/>. The checkpoint's post-processor may add none of its own.</summary>
    /// <param name="text">A prompt. A lone surrogate counts as U+FFFD, as in UTF-8.</param>
    /// <param name="plain">The part of <paramref name="text"/> (UTF-16 indices) that the user wrote: no control token is matched
    /// in it, so "&lt;image&gt;" stays seven characters there. All other text gives the same ids with and without it.</param>
    public int[] Encode(string text, Range plain = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        var (start, length) = plain.GetOffsetAndLength(text.Length);
        var user = new PlainText(start, start + length);
        text = WellFormed(text);

        var ids = new List<int>(text.Length / 4);
        foreach (var piece in _inRawText.Split(text, user))
            if (piece.TokenId is int id)
                ids.Add(id);
            else
                EncodeStretch(text[piece.Start..piece.End], user.From(piece.Start), ids);
        return [.. ids];
    }

    void EncodeStretch(string stretch, PlainText user, List<int> ids)
    {
        foreach (var piece in _inNormalizedText.Split(stretch, user))
            if (piece.TokenId is int id)
                ids.Add(id);
            else
                _model.Encode(stretch[piece.Start..piece.End], ids);
    }

    /// <summary>The text of <paramref name="ids"/>. Ids beyond the vocabulary are dropped, bytes that are no UTF-8 become U+FFFD.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        var text = new StringBuilder();
        var decoder = new StreamingDetokenizer(this, skipSpecialTokens);
        foreach (var id in ids)
            decoder.Add(id, text);
        decoder.Flush(text);
        return text.ToString();
    }

    internal ITokenDecoder NewDecoder() => _newDecoder();

    internal bool IsText(int id, bool skipSpecialTokens) =>
        _vocabulary.Token(id) is not null && !(skipSpecialTokens && _vocabulary.IsSpecial(id));

    /// <summary>The text with U+FFFD in place of each lone surrogate: as long as before, so that indices into it still hold.</summary>
    static string WellFormed(string text) =>
        text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF') ? Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)) : text;
}
