using System.Globalization;
using System.Text;

namespace MedVlm.Evaluation.Tokens;

/// <summary>Lower case by Unicode's full rules, as Java and Python have it; .NET's own rules map one character to one.</summary>
internal static class FullCase
{
    const char CapitalSigma = 'Σ';
    const char CapitalDottedI = 'İ';

    /// <summary>The text in lower case: İ becomes i and a combining dot, Σ at the end of a word ς.</summary>
    public static string ToLower(string text)
    {
        if (text.AsSpan().IndexOfAny(CapitalSigma, CapitalDottedI) < 0)
            return text.ToLowerInvariant();

        var lower = new StringBuilder(text.Length + 1);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == CapitalDottedI)
                lower.Append("i\u0307");
            else if (text[i] == CapitalSigma)
                lower.Append(CasedBefore(text, i) && !CasedAfter(text, i) ? 'ς' : 'σ');
            else if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length)
                lower.Append(text.Substring(i++, 2).ToLowerInvariant());
            else
                lower.Append(char.ToLowerInvariant(text[i]));
        }
        return lower.ToString();
    }

    /// <summary>The same for a token.</summary>
    public static void ToLower(ReadOnlySpan<char> token, TokenSink into)
    {
        Span<char> lower = stackalloc char[64];
        if (token.Length <= lower.Length && token.IndexOfAny(CapitalSigma, CapitalDottedI) < 0)
            into.Add(lower[..token.ToLowerInvariant(lower)]);
        else
            into.Add(ToLower(token.ToString()));
    }

    static bool CasedBefore(string text, int at)
    {
        do at--; while (at >= 0 && Ignorable(text[at]));
        return at >= 0 && Cased(text[at]);
    }

    static bool CasedAfter(string text, int at)
    {
        do at++; while (at < text.Length && Ignorable(text[at]));
        return at < text.Length && Cased(text[at]);
    }

    static bool Cased(char c) => char.GetUnicodeCategory(c)
        is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;

    static bool Ignorable(char c) => c is '\'' or '.' or ':' or '·' or '’' or '‘' or '\u2024' or '\u2027' || char.GetUnicodeCategory(c)
        is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
        or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;
}
