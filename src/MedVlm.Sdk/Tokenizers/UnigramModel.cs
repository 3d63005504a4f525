using Microsoft.ML.Tokenizers;

namespace MedVlm.Tokenizers;

/// <summary>SentencePiece's unigram model: of all ways to cut the text into pieces, the likeliest (arXiv:1804.10959).</summary>
/// <remarks>Microsoft.ML.Tokenizers normalises and cuts. It gives an unknown token for each unknown character, where SentencePiece gives one for a run of them: that is here.</remarks>
/// <param name="pieces">The package's tokenizer.</param>
/// <param name="unknown">Id of the unknown token.</param>
/// <param name="lowercase">Whether the text is lower-cased first.</param>
/// <param name="file">The file that it was read from.</param>
internal sealed class UnigramModel(SentencePieceTokenizer pieces, int unknown, bool lowercase, string file) : ITokenModel
{
    static readonly BertNormalization s_lowercase = new(CleanText: false, ChineseChars: false, StripAccents: false, Lowercase: true);

    public void Encode(string stretch, List<int> ids)
    {
        var text = lowercase ? s_lowercase.Apply(stretch) : stretch;
        int previous = -1;
        foreach (int id in Pieces(text))
        {
            if (id != unknown || previous != unknown)
                ids.Add(id);
            previous = id;
        }
    }

    IReadOnlyList<int> Pieces(string text)
    {
        try
        {
            return pieces.EncodeToIds(text, considerPreTokenization: false, considerNormalization: true);
        }
        catch (Exception e) when (e is IndexOutOfRangeException or ArgumentException or InvalidOperationException)
        {
            // The normaliser walks the file's own tables, which the package does not check when it loads them.
            throw new CheckpointException($"{file}: its table of normalised characters is damaged. Take it anew from the checkpoint's source.", e);
        }
    }
}
