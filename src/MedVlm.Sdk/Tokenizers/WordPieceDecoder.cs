using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>How word pieces become text.</summary>
/// <param name="Prefix">Marks a piece that continues a word, "##".</param>
/// <param name="CleanUpPieces">tokenizer.json: blanks that English does not have are taken out of each piece.</param>
/// <param name="CleanUpText">tokenizer_config.json: and then out of the whole text.</param>
internal sealed record WordPieceDecoding(string Prefix, bool CleanUpPieces, bool CleanUpText);

/// <summary>Word pieces to text: joined by blanks, continuations glued on, blanks before punctuation and in contractions taken out.</summary>
/// <remarks>
/// The two clean-ups are those of tokenizers (decoders/wordpiece.rs) and transformers (clean_up_tokenization), in their order. Only the
/// one over the whole text sees a blank that two pieces make ("patient ' s"); so a piece may have to wait for the next one.
/// </remarks>
internal sealed class WordPieceDecoder(Vocabulary vocabulary, WordPieceDecoding decoding) : ITokenDecoder
{
    static readonly (string Pattern, string Replacement)[] s_ofText =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"),
        (" 're", "'re"),
    ];

    static readonly (string Pattern, string Replacement)[] s_ofPiece = [.. s_ofText[..7], (" do not", " don't"), .. s_ofText[7..]];

    readonly StreamingReplacement[] _cleanUp =
        decoding.CleanUpText ? [.. s_ofText.Select(rule => new StreamingReplacement(rule.Pattern, rule.Replacement))] : [];

    bool _isFirst = true;

    public void Add(int id, StringBuilder text)
    {
        if (vocabulary.Token(id) is not string token)
            return;

        var piece = Piece(token);
        foreach (var replacement in _cleanUp)
            piece = replacement.Add(piece);
        text.Append(piece);
        _isFirst = false;
    }

    public void Flush(StringBuilder text)
    {
        var rest = "";
        foreach (var replacement in _cleanUp)
            rest = replacement.Add(rest) + replacement.Flush();
        text.Append(rest);
        _isFirst = true;
    }

    /// <summary>A continuation with nothing in front of it keeps its mark, as in the reference.</summary>
    string Piece(string token)
    {
        var piece = _isFirst ? token
            : token.StartsWith(decoding.Prefix, StringComparison.Ordinal) ? token[decoding.Prefix.Length..]
            : $" {token}";
        if (decoding.CleanUpPieces)
            foreach (var (pattern, replacement) in s_ofPiece)
                piece = piece.Replace(pattern, replacement, StringComparison.Ordinal);
        return piece;
    }
}
