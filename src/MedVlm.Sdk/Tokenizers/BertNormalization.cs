using System.Globalization;
using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>What BERT does to a text before it is cut into words: the BertNormalizer of Hugging Face's tokenizers.</summary>
/// <param name="CleanText">Control characters are taken out, white space of any kind becomes a blank.</param>
/// <param name="ChineseChars">Chinese characters are set apart by blanks.</param>
/// <param name="StripAccents">Characters are decomposed, and combining marks taken out.</param>
/// <param name="Lowercase">Character by character, so without a rule for the final sigma.</param>
/// <remarks>By code points: .NET's Regex and char see the halves of those above U+FFFF.</remarks>
internal sealed record BertNormalization(bool CleanText, bool ChineseChars, bool StripAccents, bool Lowercase)
{
    public string Apply(string text)
    {
        if (CleanText || ChineseChars)
            text = CleanAndSetApart(text);
        if (StripAccents)
            text = WithoutMarks(UnicodeForm.Apply(text, NormalizationForm.FormD));
        return Lowercase ? ToLower(text) : text;
    }

    /// <summary>Punctuation to BERT: also $ + &lt; = &gt; ^ ` | ~, which are symbols to Unicode, but no symbol beyond ASCII.</summary>
    public static bool IsPunctuation(Rune rune) => rune.IsAscii
        ? char.IsAsciiLetterOrDigit((char)rune.Value) is false && rune.Value is > ' ' and < 0x7F
        : Rune.GetUnicodeCategory(rune) is >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherPunctuation;

    string CleanAndSetApart(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (CleanText && IsDropped(rune))
                continue;
            if (ChineseChars && IsChinese(rune.Value))
                result.Append(' ').Append(rune).Append(' ');
            else
                result.Append(CleanText && Rune.IsWhiteSpace(rune) ? new Rune(' ') : rune);
        }
        return result.ToString();
    }

    // U+0085, a control character, goes although it is white space; unassigned characters stay.
    static bool IsDropped(Rune rune) => rune.Value is not ('\t' or '\n' or '\r')
        && (rune.Value == 0xFFFD
            || Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse);

    // The reference's blocks, its gap between U+2B81F and U+2B920 included.
    static bool IsChinese(int c) => c is
        (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F)
        or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);

    static string WithoutMarks(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            if (Rune.GetUnicodeCategory(rune) != UnicodeCategory.NonSpacingMark)
                result.Append(rune);
        return result.ToString();
    }

    static string ToLower(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            if (rune.Value == 'İ')
                result.Append("i\u0307");   // the one character that becomes two
            else
                result.Append(Rune.ToLowerInvariant(rune));
        return result.ToString();
    }
}
