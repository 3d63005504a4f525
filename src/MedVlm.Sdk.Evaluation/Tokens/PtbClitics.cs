using System.Collections.Frozen;

namespace MedVlm.Evaluation.Tokens;

/// <summary>Words that lean on another and are tokens of their own: do n't, it 's, can not.</summary>
internal static class PtbClitics
{
    static readonly string[] s_clitics = ["'s", "'d", "'m", "'ve", "'ll", "'re"];

    /// <summary>Two words written as one, and where the second begins.</summary>
    static readonly FrozenDictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> s_contractions = new Dictionary<string, int>
    {
        ["cannot"] = 3, ["gonna"] = 3, ["wanna"] = 3, ["gotta"] = 3, ["lemme"] = 3, ["gimme"] = 3, ["y'all"] = 2, ["y’all"] = 2,
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase).GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>The n't of don't, with either apostrophe.</summary>
    public static bool IsNot(ReadOnlySpan<char> word) => word is ['n' or 'N', '\'' or '’', 't' or 'T'];

    /// <summary>Where in a word its second word begins, or 0.</summary>
    public static int SecondWord(ReadOnlySpan<char> word) => s_contractions.TryGetValue(word, out int second) ? second : 0;

    /// <summary>Where the clitic begins that has this apostrophe, or -1; the word before it began at <paramref name="word"/>.</summary>
    public static int Begin(string text, int word, int apostrophe)
    {
        if (Match(text, apostrophe) is not null)
            return apostrophe;
        bool not = apostrophe - 1 > word && text[apostrophe - 1] is 'n' or 'N' && StandsAt(text, apostrophe + 1, "t");
        return not ? apostrophe - 1 : -1;
    }

    /// <summary>Adds the clitic that begins at an apostrophe behind a word, or a word that begins with one, and returns its length; 0 if
    /// there is none.</summary>
    public static int Add(string text, int at, TokenSink sink)
    {
        if (!PtbShapes.IsApostrophe(text[at]))
            return 0;
        if ((PtbShapes.StartsWord(text, at) ? WithoutItsBeginning(text, at) : Match(text, at)) is not { } token)
            return 0;
        sink.Add(token);
        return token.Length;
    }

    /// <summary>The 't of 'tis and 'twas, the 'n' of rock 'n' roll, the '90s: no quote opens there.</summary>
    static string? WithoutItsBeginning(string text, int at)
    {
        if (StandsAt(text, at + 1, "tis") || StandsAt(text, at + 1, "twas"))
            return "'t";
        if (StandsAt(text, at + 1, "n") && at + 2 < text.Length && PtbShapes.IsApostrophe(text[at + 2]))
            return "'n'";
        bool decade = at + 3 < text.Length && char.IsAsciiDigit(text[at + 1]) && text[at + 2] == '0' && StandsAt(text, at + 3, "s");
        return decade ? $"'{text[at + 1]}0s" : null;
    }

    static string? Match(string text, int apostrophe)
    {
        foreach (var clitic in s_clitics)
            if (StandsAt(text, apostrophe + 1, clitic.AsSpan(1)))
                return clitic;
        return null;
    }

    /// <summary>Whether these letters stand here and end a word: the 's of bull's, not of bull's-eye.</summary>
    static bool StandsAt(string text, int at, ReadOnlySpan<char> letters)
    {
        int end = at + letters.Length;
        return text.AsSpan(at).StartsWith(letters, StringComparison.OrdinalIgnoreCase)
            && (end == text.Length || !PtbShapes.IsWordCharacter(text[end])
                && !(text[end] == '-' && end + 1 < text.Length && PtbShapes.IsWordCharacter(text[end + 1])));
    }
}
