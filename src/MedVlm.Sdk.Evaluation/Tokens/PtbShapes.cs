using System.Buffers;
using System.Globalization;

namespace MedVlm.Evaluation.Tokens;

/// <summary>The shapes of tokens longer than a character. Each method returns the length of the shape that begins at a place, 0 for none.</summary>
/// <remarks>What a method reads is soon consumed or bounded in length, so that the whole takes linear time.</remarks>
internal static class PtbShapes
{
    /// <summary>Longest local part of a mail address (RFC 5321).</summary>
    const int MaxMailName = 64;

    /// <summary>Most digits of each part of a mixed fraction.</summary>
    const int MaxFractionDigits = 4;

    /// <summary>Longest mixed fraction.</summary>
    public const int MaxMixedFraction = 3 * MaxFractionDigits + 2;

    static readonly SearchValues<char> s_beforeWords = SearchValues.Create("([{<>=≤≥~/\"“‘`'");

    static readonly SearchValues<char> s_endsOfUrls = SearchValues.Create("<>\"“”()[]{}");

    public static readonly SearchValues<char> Digits = SearchValues.Create("0123456789");

    /// <summary>Letters, combining marks and decimal digits. Superscripts are none: m² is two tokens.</summary>
    public static bool IsWordCharacter(char c) => char.IsAsciiLetterOrDigit(c) || c > '\u007F' && char.GetUnicodeCategory(c)
        is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
        or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter or UnicodeCategory.DecimalDigitNumber
        or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;

    /// <summary>A straight or a curly apostrophe.</summary>
    public static bool IsApostrophe(char c) => c is '\'' or '’';

    /// <summary>A word: T2-weighted, C3-C6, PET/CT, e.g, l'arc, AT&amp;T, US$. It ends where a clitic begins.</summary>
    public static int Word(string text, int at)
    {
        int end = Part(text, at);
        if (end == at)
            return 0;
        if (CapitalsWithSign(text, at, end) is > 0 and var capitals)
            return capitals;

        // A point without a space behind it: M.S, kidneys.White. Digits make it a number: La0 .35 Zr0 .65
        if (char.IsLetter(text[at]))
            while (IsAt(text, end, '.') && end + 1 < text.Length && char.IsLetter(text[end + 1]))
                end = Part(text, end + 1);

        end = Hyphenated(text, end);
        for (int slashes = 0; slashes < 2 && IsAt(text, end, '/'); slashes++)
        {
            int part = Part(text, end + 1);
            if (part == end + 1)
                break;
            end = Hyphenated(text, part);
        }
        return end - at;
    }

    /// <summary>A number: 5, -5, .5, 1,000.50, 12:30, 2020-01-31, 1/2, 10-15.</summary>
    public static int Number(string text, int at)
    {
        int i = at;
        if (text[i] is '+' or '-' && StartsWord(text, at))
            i++;
        if (i < text.Length && text[i] is '.' or ',')
            i++;
        int first = i;
        i = SkipDigits(text, i);
        if (i == first)
            return 0;
        while (i < text.Length && text[i] is '.' or ',' or ':' or '/' or '-' && IsDigitAt(text, i + 1))
            i = SkipDigits(text, i + 1);
        return i - at;
    }

    /// <summary>A number and a fraction, 1 1/2: the one token that holds a space.</summary>
    public static int MixedFraction(string text, int at)
    {
        int whole = SkipDigits(text, at, MaxFractionDigits);
        if (whole == at || whole == text.Length || text[whole] is not (' ' or '\n' or '\u00A0'))
            return 0;
        int numerator = SkipDigits(text, whole + 1, MaxFractionDigits);
        if (numerator == whole + 1 || !IsAt(text, numerator, '/'))
            return 0;
        int end = SkipDigits(text, numerator + 1, MaxFractionDigits);
        bool ends = end == text.Length || !IsWordCharacter(text[end]) && text[end] != '/';
        return end > numerator + 1 && ends ? end - at : 0;
    }

    /// <summary>A web address, up to white space, a quote or a bracket, without the punctuation at its end.</summary>
    public static int Url(string text, int at)
    {
        var rest = text.AsSpan(at);
        int prefix = Prefix(rest, "http://") + Prefix(rest, "https://") + Prefix(rest, "ftp://") + Prefix(rest, "www.");
        if (prefix == 0)
            return 0;
        int end = prefix;
        while (end < rest.Length && !char.IsWhiteSpace(rest[end]) && !s_endsOfUrls.Contains(rest[end]))
            end++;
        int length = rest[..end].TrimEnd(".,;:!?'’").Length;
        return length > prefix ? length : 0;

        static int Prefix(ReadOnlySpan<char> text, string prefix) => text.StartsWith(prefix, StringComparison.OrdinalIgnoreCase) ? prefix.Length : 0;
    }

    /// <summary>A mail address: a.b@c.org.</summary>
    public static int Mail(string text, int at)
    {
        int sign = at;
        while (sign < text.Length && sign - at < MaxMailName && (char.IsAsciiLetterOrDigit(text[sign]) || text[sign] is '.' or '_' or '%' or '+' or '-'))
            sign++;
        if (!IsAt(text, sign, '@'))
            return 0;
        int end = DomainPart(text, sign + 1), domain = end;
        while (IsAt(text, end, '.') && DomainPart(text, end + 1) is var next && next > end + 1)
            end = next;
        return end > domain && domain > sign + 1 ? end - at : 0;

        static int DomainPart(string text, int at)
        {
            while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '-'))
                at++;
            return at;
        }
    }

    /// <summary>@name.</summary>
    public static int AtName(string text, int at)
    {
        int end = at + 1;
        while (end < text.Length && (char.IsAsciiLetterOrDigit(text[end]) || text[end] == '_'))
            end++;
        return end > at + 1 ? end - at : 0;
    }

    /// <summary>An XML tag without attributes: &lt;b&gt;, &lt;/b&gt;, &lt;br/&gt;.</summary>
    public static int Tag(string text, int at)
    {
        int name = IsAt(text, at + 1, '/') ? at + 2 : at + 1, end = name;
        while (end < text.Length && (char.IsAsciiLetter(text[end]) || end > name && (char.IsAsciiDigit(text[end]) || text[end] is '-' or ':' or '_')))
            end++;
        if (end == name)
            return 0;
        if (IsAt(text, end, '/'))
            end++;
        return IsAt(text, end, '>') ? end + 1 - at : 0;
    }

    /// <summary>Whether the sign of a number or an opening quote may stand here: behind white space, an opening bracket or quote, a relation.</summary>
    public static bool StartsWord(string text, int at) =>
        at == 0 || char.IsWhiteSpace(text[at - 1]) || s_beforeWords.Contains(text[at - 1]);

    static bool IsAt(string text, int at, char c) => at < text.Length && text[at] == c;

    /// <summary>Where a run of word characters ends; an apostrophe between two letters belongs to it unless a clitic begins there.</summary>
    static int Part(string text, int at)
    {
        int end = at;
        while (true)
        {
            while (end < text.Length && IsWordCharacter(text[end]))
                end++;
            bool inner = end > at && end + 1 < text.Length && IsApostrophe(text[end]) && char.IsLetter(text[end - 1]) && char.IsLetter(text[end + 1]);
            if (!inner)
                return end;
            if (PtbClitics.Begin(text, at, end) is >= 0 and var clitic)
                return clitic;
            end++;
        }
    }

    static int Hyphenated(string text, int end)
    {
        while (end < text.Length && text[end] is '-' or '\u2010' or '\u2011')
        {
            int part = Part(text, end + 1);
            if (part == end + 1)
                break;
            end = part;
        }
        return end;
    }

    /// <summary>AT&amp;T, A&amp;E; US$. Small letters do not hold together: a&amp;b is three tokens.</summary>
    static int CapitalsWithSign(string text, int at, int end)
    {
        if (end == text.Length || text[end] is not ('&' or '$') || text.AsSpan(at, end - at).ContainsAnyExceptInRange('A', 'Z'))
            return 0;
        if (text[end] == '$')
            return end - at <= 2 ? end + 1 - at : 0;
        int last = end + 1;
        while (last < text.Length && char.IsAsciiLetterUpper(text[last]))
            last++;
        return last > end + 1 && (last == text.Length || !IsWordCharacter(text[last])) ? last - at : 0;
    }

    static int SkipDigits(string text, int at, int most = int.MaxValue)
    {
        for (int i = 0; i < most && IsDigitAt(text, at); i++)
            at++;
        return at;
    }

    static bool IsDigitAt(string text, int at) => at < text.Length && char.IsAsciiDigit(text[at]);
}
