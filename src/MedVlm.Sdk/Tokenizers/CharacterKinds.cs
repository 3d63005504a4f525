using System.Globalization;
using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>What the patterns of byte-level tokenizers tell apart.</summary>
internal enum CharacterKind
{
    /// <summary>\p{L}</summary>
    Letter,
    /// <summary>\p{N}</summary>
    Number,
    /// <summary>\s, which is Unicode's White_Space</summary>
    WhiteSpace,
    /// <summary>[^\s\p{L}\p{N}]</summary>
    Other,
}

/// <summary>The kind of a code point.</summary>
/// <remarks>.NET's Regex matches UTF-16 units, so its \p{L} and \p{N} know no character above U+FFFF; the models were trained with
/// patterns over code points. Hence scanning by hand.</remarks>
internal static class CharacterKinds
{
    /// <summary>Kind of the character at an index of well-formed text, and its length in UTF-16 units.</summary>
    public static CharacterKind At(ReadOnlySpan<char> text, int index, out int length)
    {
        var c = text[index];
        length = char.IsHighSurrogate(c) ? 2 : 1;
        return Of(length == 2 ? new Rune(c, text[index + 1]) : new Rune(c));
    }

    /// <summary>End of the run of one kind that begins at an index; the index itself if another kind stands there.</summary>
    public static int RunEnd(ReadOnlySpan<char> text, int index, CharacterKind kind)
    {
        while (index < text.Length && At(text, index, out var length) == kind)
            index += length;
        return index;
    }

    public static CharacterKind Of(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        <= UnicodeCategory.OtherLetter => CharacterKind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CharacterKind.Number,
        _ => Rune.IsWhiteSpace(rune) ? CharacterKind.WhiteSpace : CharacterKind.Other,
    };

    /// <summary>\w: letters, marks, decimal digits, connectors.</summary>
    public static bool IsWord(Rune rune) => Rune.GetUnicodeCategory(rune) is
        <= UnicodeCategory.EnclosingMark or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber
        or UnicodeCategory.ConnectorPunctuation;
}
