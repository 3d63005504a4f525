using System.Runtime.InteropServices;
using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>Byte-level BPE, as GPT-2 made it: text is cut into words, and the bytes of each word are merged into tokens.</summary>
internal sealed class ByteLevelBpe : ITokenModel
{
    readonly IReadOnlyDictionary<string, int> _vocabulary;
    readonly BytePairMerges _merges;
    readonly bool _ignoreMerges;
    readonly NormalizationForm? _normalization;
    readonly Splitter[] _splitters;
    readonly int?[] _byteIds;

    public ByteLevelBpe(BpeModel model, NormalizationForm? normalization, Splitter[] splitters)
    {
        (_vocabulary, _merges, _ignoreMerges) = (model.Vocabulary, model.Merges, model.IgnoreMerges);
        (_normalization, _splitters) = (normalization, splitters);
        _byteIds = [.. ByteAlphabet.Tokens.Select(Id)];
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
        if (_ignoreMerges && WholeWord(word) is int whole)
        {
            ids.Add(whole);
            return;
        }
        var symbols = new List<int>(word.Length);
        foreach (var value in Encoding.UTF8.GetBytes(word.ToString()))
            if (_byteIds[value] is int id)   // as in the reference, a byte without a token is left out
                symbols.Add(id);
        var merged = CollectionsMarshal.AsSpan(symbols);
        ids.AddRange(merged[.._merges.Apply(merged)]);
    }

    /// <summary>ignore_merges: a word that is a token is this token, whether or not merges lead to it.</summary>
    int? WholeWord(ReadOnlySpan<char> word) =>
        Id(string.Concat(Encoding.UTF8.GetBytes(word.ToString()).Select(ByteAlphabet.Character)));

    int? Id(string token) => _vocabulary.TryGetValue(token, out var id) ? id : null;
}
