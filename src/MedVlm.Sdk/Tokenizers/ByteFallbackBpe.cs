using System.Runtime.InteropServices;
using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>
/// BPE as SentencePiece made it for Llama, Mistral and Phi-3: a "▁" in front of the text and in place of each blank, merges over the
/// whole text (they may cross words), and the UTF-8 bytes of a character that has no token.
/// </summary>
internal sealed class ByteFallbackBpe : ITokenModel
{
    /// <summary>What stands for a blank in tokens.</summary>
    public const char Blank = '\u2581';

    readonly Dictionary<Rune, int> _characters = [];
    readonly int[] _bytes;
    readonly BytePairMerges _merges;

    /// <param name="vocabulary">Tokens that text can become; those of one character are what merging begins with.</param>
    /// <param name="bytes">The token of each byte.</param>
    /// <param name="merges">The merges, by ids.</param>
    public ByteFallbackBpe(IReadOnlyDictionary<string, int> vocabulary, int[] bytes, BytePairMerges merges)
    {
        (_bytes, _merges) = (bytes, merges);
        foreach (var (token, id) in vocabulary)
            if (token.Length <= 2 && Rune.TryGetRuneAt(token, 0, out var rune) && rune.Utf16SequenceLength == token.Length)
                _characters.Add(rune, id);
    }

    /// <summary>How a vocabulary writes the token of a byte.</summary>
    public static string ByteToken(int value) => $"<0x{value:X2}>";

    public void Encode(string stretch, List<int> ids)
    {
        if (stretch.Length == 0)
            return;

        var symbols = new List<int>(stretch.Length + 1);
        Add(new Rune(Blank), symbols);
        foreach (var rune in stretch.EnumerateRunes())
            Add(rune.Value == ' ' ? new Rune(Blank) : rune, symbols);

        var merged = CollectionsMarshal.AsSpan(symbols);
        ids.AddRange(merged[.._merges.Apply(merged)]);
    }

    void Add(Rune character, List<int> symbols)
    {
        if (_characters.TryGetValue(character, out int id))
        {
            symbols.Add(id);
            return;
        }
        Span<byte> utf8 = stackalloc byte[4];
        foreach (byte value in utf8[..character.EncodeToUtf8(utf8)])
            symbols.Add(_bytes[value]);
    }
}
