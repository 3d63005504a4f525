using System.Collections.Frozen;

namespace MedVlm.Evaluation.Tokens;

/// <summary>What becomes of the point behind a word.</summary>
internal enum Point { Apart, Kept, KeptAndSecond }

/// <summary>Abbreviations, whose point is part of the token. What follows decides whether it ends a sentence as well.</summary>
internal static class PtbAbbreviations
{
    enum Kind
    {
        /// <summary>Titles and the like, never at a sentence's end: the point is kept.</summary>
        BeforeName,

        /// <summary>May end a sentence: before a capitalised word the sentence gets a point of its own.</summary>
        MayEndSentence,

        /// <summary>Goes with a number: elsewhere it is an ordinary word ("no", "fig").</summary>
        BeforeNumber,
    }

    // The classes of the table in notes.md; its letters with points (a.m, U.S, v) have a rule of their own below.
    static readonly FrozenDictionary<string, Kind>.AlternateLookup<ReadOnlySpan<char>> s_kinds = Table(
        (Kind.BeforeName, "cf prof dr drs mr mrs ms st vs dept gen lt col"),
        (Kind.MayEndSentence, "sr jr inc corp co ltd etc al est ext sq jan feb mar apr jun jul aug sept sep oct nov dec mon tue fri"),
        (Kind.BeforeNumber, "pp fig figs no nos ca art op"));

    /// <summary>States of the U.S. as far as the examples have them: "CT." and "MASS.", but not "mass.", are Connecticut and Massachusetts.</summary>
    static readonly FrozenSet<string>.AlternateLookup<ReadOnlySpan<char>> s_states =
        FrozenSet.Create(StringComparer.OrdinalIgnoreCase, "ct", "mass").GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Words that open a sentence. Behind letters with points other capitalised words do not end one: A. B. Smith, I.E. HYPO-ECHOIC.</summary>
    static readonly FrozenSet<string>.AlternateLookup<ReadOnlySpan<char>> s_openers = FrozenSet.Create(StringComparer.OrdinalIgnoreCase,
        "the", "a", "an", "this", "that", "these", "those", "there", "here", "it", "its", "he", "his", "she", "her", "they", "their", "we", "our",
        "in", "on", "at", "by", "of", "to", "from", "for", "with", "without", "after", "before", "during", "since", "under",
        "and", "but", "or", "if", "when", "while", "where", "as", "so", "then", "however", "also", "although", "because",
        "is", "are", "was", "were", "no", "not", "both", "all", "some", "many", "most", "each", "another", "other").GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>The point behind <paramref name="word"/>.</summary>
    /// <param name="word">The word without its point, in its own case.</param>
    /// <param name="next">The word behind it, empty where anything else follows (a bracket, a comma, nothing).</param>
    public static Point PointAfter(ReadOnlySpan<char> word, ReadOnlySpan<char> next)
    {
        bool capitalised = !next.IsEmpty && char.IsUpper(next[0]);
        bool opensSentence = capitalised && s_openers.Contains(next);
        if (word.Length == 1 && char.IsAsciiLetter(word[0]))
            return opensSentence ? Point.Apart : Point.Kept;
        if (IsLettersWithPoints(word))
            return opensSentence ? Point.KeptAndSecond : Point.Kept;

        if (!s_kinds.TryGetValue(word, out var kind))
        {
            if (!char.IsUpper(word[0]) || !s_states.Contains(word))
                return Point.Apart;
            kind = Kind.MayEndSentence;
        }
        return kind switch
        {
            Kind.MayEndSentence when capitalised => Point.KeptAndSecond,
            Kind.BeforeNumber when next.IsEmpty || capitalised => Point.Apart,
            _ => Point.Kept,
        };
    }

    /// <summary>The point between <paramref name="word"/> and a comma, colon or semicolon ends no sentence: any word of letters is an
    /// abbreviation there (1st pt., Ao.:).</summary>
    public static Point PointBeforeComma(ReadOnlySpan<char> word)
    {
        foreach (char c in word)
            if (!char.IsLetter(c) && c != '.')
                return Point.Apart;
        return Point.Kept;
    }

    /// <summary>e.g, U.S, Ph.D: each part is a letter, or begins the title of a doctor.</summary>
    static bool IsLettersWithPoints(ReadOnlySpan<char> word)
    {
        if (word.StartsWith("ph.", StringComparison.OrdinalIgnoreCase))
            word = word[1..];
        if (word.Length < 3 || word.Length % 2 == 0)
            return false;
        for (int i = 0; i < word.Length; i++)
            if (i % 2 == 0 ? !char.IsLetter(word[i]) : word[i] != '.')
                return false;
        return true;
    }

    static FrozenDictionary<string, Kind>.AlternateLookup<ReadOnlySpan<char>> Table(params (Kind Kind, string Words)[] rows) => rows
        .SelectMany(row => row.Words.Split(' '), (row, word) => KeyValuePair.Create(word, row.Kind))
        .ToFrozenDictionary(StringComparer.OrdinalIgnoreCase).GetAlternateLookup<ReadOnlySpan<char>>();
}
