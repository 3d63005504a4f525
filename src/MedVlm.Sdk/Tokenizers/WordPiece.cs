using System.Text;
using Microsoft.ML.Tokenizers;

namespace MedVlm.Tokenizers;

/// <summary>The "model" of a WordPiece tokenizer, checked.</summary>
/// <param name="Vocabulary">Tokens, each with an id of its own.</param>
/// <param name="UnknownToken">The token of a word that no pieces cover; one of the vocabulary.</param>
/// <param name="Prefix">Marks a piece that continues a word, "##".</param>
/// <param name="LongestWord">Characters of a word; a longer one is unknown.</param>
internal sealed record WordPieceModel(Dictionary<string, int> Vocabulary, string UnknownToken, string Prefix, int LongestWord);

/// <summary>BERT's tokenizer: words and punctuation marks, each cut greedily into the longest pieces of the vocabulary.</summary>
/// <remarks>Microsoft.ML.Tokenizers cuts the words. Its normalizer and splitter go by UTF-16 units: those are here.</remarks>
internal sealed class WordPiece : ITokenModel
{
    readonly WordPieceModel _model;
    readonly BertNormalization _normalization;
    readonly int _unknown;
    readonly int[] _ids;
    readonly WordPieceTokenizer _pieces;

    public WordPiece(WordPieceModel model, BertNormalization normalization)
    {
        (_model, _normalization, _unknown) = (model, normalization, model.Vocabulary[model.UnknownToken]);

        // The package takes lines, and numbers them. What no word can hold needs no line.
        var lines = model.Vocabulary.Where(entry => entry.Key.Length > 0 && !entry.Key.Any(char.IsWhiteSpace)).ToList();
        _ids = [.. lines.Select(entry => entry.Value)];
        using var vocabulary = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', lines.Select(entry => entry.Key))));
        _pieces = WordPieceTokenizer.Create(vocabulary, new WordPieceOptions
        {
            UnknownToken = model.UnknownToken,
            ContinuingSubwordPrefix = model.Prefix,
            MaxInputCharsPerWord = 2 * model.LongestWord,   // UTF-16 units; characters are counted here
        });
    }

    public void Encode(string stretch, List<int> ids)
    {
        var text = _normalization.Apply(stretch);
        int start = 0, index = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            int end = index + rune.Utf16SequenceLength;
            if (Rune.IsWhiteSpace(rune))
            {
                EncodeWord(text.AsSpan(start, index - start), ids);
                start = end;
            }
            else if (BertNormalization.IsPunctuation(rune))
            {
                EncodeWord(text.AsSpan(start, index - start), ids);
                EncodeWord(text.AsSpan(index, end - index), ids);
                start = end;
            }
            index = end;
        }
        EncodeWord(text.AsSpan(start), ids);
    }

    void EncodeWord(ReadOnlySpan<char> word, List<int> ids)
    {
        if (word.IsEmpty)
            return;
        if (word.Length > 2 * _model.LongestWord || Characters(word) > _model.LongestWord)
        {
            ids.Add(_unknown);
            return;
        }
        foreach (var line in _pieces.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false))
            ids.Add(_ids[line]);
    }

    static int Characters(ReadOnlySpan<char> text)
    {
        int count = 0;
        foreach (var _ in text.EnumerateRunes())
            count++;
        return count;
    }
}
