using System.Globalization;

namespace MedVlm.Evaluation.Tokens;

/// <summary>Punctuation and signs: which are written otherwise, which run together, which are dropped.</summary>
internal static class PtbSymbols
{
    static readonly (string Entity, char Sign)[] s_entities = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&apos;", '\'')];

    /// <summary>Adds the token that begins here, unless it is dropped, and returns how many characters it took.</summary>
    public static int Add(string text, int at, TokenSink sink)
    {
        char c = text[at];
        int length = RunLength(text, at);
        if (c == '&')
            foreach (var (entity, sign) in s_entities)
                if (text.AsSpan(at).StartsWith(entity, StringComparison.OrdinalIgnoreCase))
                    (c, length) = (sign, entity.Length);

        bool opens = PtbShapes.StartsWord(text, at) && at + length < text.Length && !char.IsWhiteSpace(text[at + length]);
        if (Spelling(c, length, opens) is { } token)
            sink.Add(token);
        else if (!IsDropped(c))
            sink.Add(text.AsSpan(at, length));
        return length;
    }

    /// <summary>How many characters belong together: ?!, --, ..., ``, '', ⁻³; else 1.</summary>
    static int RunLength(string text, int at)
    {
        char first = text[at];
        int most = first is '\'' or '`' ? 2 : text.Length, length = 1;
        while (length < most && at + length < text.Length && Together(first, text[at + length]))
            length++;
        return first == '.' && length == 2 ? 1 : length;
    }

    static bool Together(char first, char next) => first switch
    {
        '?' or '!' => next is '?' or '!',
        '.' or '-' or '\'' or '`' => next == first,
        _ => IsSuperscript(first) && IsSuperscript(next),
    };

    static bool IsSuperscript(char c) => c is '²' or '³' or '¹' or >= '\u2070' and <= '\u207E';

    static string? Spelling(char c, int length, bool opens) => c switch
    {
        '(' => "-lrb-",
        ')' => "-rrb-",
        '[' => "-lsb-",
        ']' => "-rsb-",
        '{' => "-lcb-",
        '}' => "-rcb-",
        '"' => opens ? "``" : "''",
        '\'' when length == 1 => opens ? "`" : "'",
        '“' or '„' or '«' => "``",
        '”' or '»' => "''",
        '‘' or '‚' or '‹' => "`",
        '’' or '›' => "'",
        '-' when length > 1 => "--",
        '–' or '—' or '―' => "--",
        '.' when length > 1 => "...",
        '…' => "...",
        '½' => "1/2",
        '¼' => "1/4",
        '¾' => "3/4",
        '⅓' => "1/3",
        '⅔' => "2/3",
        '£' => "#",
        '€' => "$",
        '&' => "&",
        '<' => "<",
        '>' => ">",
        _ => null,
    };

    /// <summary>Hyphens other than the ASCII one where they join no word, and what is no visible sign of the basic plane.</summary>
    static bool IsDropped(char c) => c is '\u2010' or '\u2011' || char.GetUnicodeCategory(c)
        is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned;
}
