using System.Text;
using Microsoft.ML.Tokenizers;

namespace MedVlm.Tokenizers;

/// <summary>Byte-level BPE, as GPT-2 made it: text is cut into words, and the bytes of each word are merged into tokens.</summary>
/// <remarks>Microsoft.ML.Tokenizers merges, and keeps a bounded cache of words behind a lock. It has no splitters over code points
/// and no ignore_merges, and is slow on long words: those are here.</remarks>
internal sealed class ByteLevelBpe : ITokenModel
{
    const int LongWord = 256;   // UTF-16 units; below it the package's quadratic step is not felt

    readonly IReadOnlyDictionary<string, int> _vocabulary;
    readonly BytePairMerges _merges;
    readonly bool _ignoreMerges;
    readonly NormalizationForm? _normalization;
    readonly Splitter[] _splitters;
    readonly BpeTokenizer _bpe;
    readonly int?[] _byteIds;

    public ByteLevelBpe(BpeModel model, NormalizationForm? normalization, Splitter[] splitters)
    {
        (_vocabulary, _merges, _ignoreMerges) = (model.Vocabulary, model.Merges, model.IgnoreMerges);
        (_normalization, _splitters) = (normalization, splitters);
        _byteIds = [.. ByteAlphabet.Tokens.Select(Id)];
        _bpe = BpeTokenizer.Create(new BpeOptions(model.Vocabulary) { Merges = model.MergeLines, ByteLevel = true });
    }

    public void Encode(string stretch, List<int> ids) =>
        EncodeWords(_normalization is { } form ? UnicodeForm.Apply(stretch, form) : stretch, stage: 0, ids);

    /// <summary>Each splitter cuts the words of the one before it.</summary>
    void EncodeWords(ReadOnlySpan<char> text, int stage, List<int> ids)
    {
        if (stage == _splitters.Length)
        {
            EncodeWord(text, ids);
            return;
        }
        while (!text.IsEmpty)
        {
            var end = _splitters[stage](text);
            EncodeWords(text[..end], stage + 1, ids);
            text = text[end..];
        }
    }

    internal void EncodeWord(ReadOnlySpan<char> word, List<int> ids)
    {
        if (_ignoreMerges && WholeWord(word) is int id)
            ids.Add(id);
        else if (word.Length > LongWord)
            EncodeLongWord(word, ids);
        else
            ids.AddRange(_bpe.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false));
    }

    /// <summary>ignore_merges: a word that is a token is this token, whether or not merges lead to it.</summary>
    int? WholeWord(ReadOnlySpan<char> word) =>
        Id(string.Concat(Encoding.UTF8.GetBytes(word.ToString()).Select(ByteAlphabet.Character)));

    internal void EncodeLongWord(ReadOnlySpan<char> word, List<int> ids)
    {
        var symbols = new List<int>(word.Length);
        foreach (var value in Encoding.UTF8.GetBytes(word.ToString()))
            if (_byteIds[value] is int id)   // as in the reference, a byte without a token is left out
                symbols.Add(id);
        var merged = symbols.ToArray();
        ids.AddRange(merged.AsSpan(0, _merges.Apply(merged)));
    }

    int? Id(string token) => _vocabulary.TryGetValue(token, out var id) ? id : null;
}
