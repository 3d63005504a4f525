namespace MedVlm.Tokenizers;

/// <summary>The end of the first word of a text that is not empty.</summary>
internal delegate int Splitter(ReadOnlySpan<char> text);

/// <summary>The pre-tokenizers of byte-level BPE: they cut text into the words within which tokens are merged.</summary>
internal static class Splitters
{
    /// <summary>GPT-2's pattern, which the pre-tokenizer "ByteLevel" applies.</summary>
    public const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>The pattern of Qwen2, Qwen2-VL and Qwen2.5-VL.</summary>
    public const string Qwen2Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>Numbers in groups of three, as in the tokenizers whose tokens span words.</summary>
    public const string DigitGroupsPattern = @"\p{N}{1,3}";

    /// <summary>The scanner that stands for a pattern of tokenizer.json; null where there is none.</summary>
    public static Splitter? ForPattern(string pattern) => pattern switch
    {
        Gpt2Pattern => Gpt2,
        Qwen2Pattern => Qwen2,
        DigitGroupsPattern => DigitGroups,
        _ => null,
    };

    /// <summary>Every number character alone: also superscripts and fractions.</summary>
    public static int IndividualDigits(ReadOnlySpan<char> text) =>
        CharacterKinds.At(text, 0, out var length) == CharacterKind.Number ? length : NumberFree(text);

    /// <summary>Runs of number characters.</summary>
    public static int DigitRuns(ReadOnlySpan<char> text) =>
        CharacterKinds.RunEnd(text, 0, CharacterKind.Number) is > 0 and var end ? end : NumberFree(text);

    /// <summary>Number characters, three at most, and what lies between.</summary>
    public static int DigitGroups(ReadOnlySpan<char> text)
    {
        int end = 0;
        for (int i = 0; i < 3 && end < text.Length && CharacterKinds.At(text, end, out var length) == CharacterKind.Number; i++)
            end += length;
        return end > 0 ? end : NumberFree(text);
    }

    public static int Gpt2(ReadOnlySpan<char> text)
    {
        if (Contraction(text, ignoreCase: false) is > 0 and var contraction)
            return contraction;

        var blank = text[0] == ' ' ? 1 : 0;
        if (blank < text.Length && CharacterKinds.At(text, blank, out _) is not CharacterKind.WhiteSpace and var kind)
            return CharacterKinds.RunEnd(text, blank, kind);
        return WhiteSpace(text);
    }

    public static int Qwen2(ReadOnlySpan<char> text)
    {
        if (Contraction(text, ignoreCase: true) is > 0 and var contraction)
            return contraction;

        var first = CharacterKinds.At(text, 0, out var length);
        if (first == CharacterKind.Number)
            return length;
        var letters = first == CharacterKind.Letter || text[0] is '\r' or '\n' ? 0 : length;
        if (CharacterKinds.RunEnd(text, letters, CharacterKind.Letter) is var word && word > letters)
            return word;

        var blank = text[0] == ' ' ? 1 : 0;
        if (CharacterKinds.RunEnd(text, blank, CharacterKind.Other) is var symbols && symbols > blank)
            return symbols + LineBreaks(text[symbols..]);
        return WhiteSpaceUpToLastLineBreak(text) is > 0 and var lines ? lines : WhiteSpace(text);
    }

    static int NumberFree(ReadOnlySpan<char> text)
    {
        var end = 0;
        while (end < text.Length && CharacterKinds.At(text, end, out var length) != CharacterKind.Number)
            end += length;
        return end;
    }

    /// <summary>'s|'t|'re|'ve|'m|'ll|'d</summary>
    static int Contraction(ReadOnlySpan<char> text, bool ignoreCase)
    {
        if (text.Length < 2 || text[0] != '\'')
            return 0;

        var second = text.Length < 3 ? '\0' : Fold(text[2], ignoreCase);
        return (Fold(text[1], ignoreCase), second) switch
        {
            ('s' or 't' or 'm' or 'd', _) => 2,
            ('r' or 'v', 'e') or ('l', 'l') => 3,
            _ => 0,
        };
    }

    // The long s is a case of s in Unicode's folding, which the reference follows; .NET's IgnoreCase does not.
    static char Fold(char c, bool ignoreCase) => !ignoreCase ? c : c == 'ſ' ? 's' : char.IsAscii(c) ? char.ToLowerInvariant(c) : c;

    /// <summary>\s+(?!\S)|\s+: a run before a word leaves its last character to the word.</summary>
    static int WhiteSpace(ReadOnlySpan<char> text)
    {
        var end = CharacterKinds.RunEnd(text, 0, CharacterKind.WhiteSpace);
        return end == text.Length || end == 1 ? end : end - 1;
    }

    /// <summary>\s*[\r\n]+</summary>
    static int WhiteSpaceUpToLastLineBreak(ReadOnlySpan<char> text) =>
        text[..CharacterKinds.RunEnd(text, 0, CharacterKind.WhiteSpace)].LastIndexOfAny('\r', '\n') + 1;

    /// <summary>[\r\n]*</summary>
    static int LineBreaks(ReadOnlySpan<char> text) =>
        text.IndexOfAnyExcept('\r', '\n') is >= 0 and var end ? end : text.Length;
}
