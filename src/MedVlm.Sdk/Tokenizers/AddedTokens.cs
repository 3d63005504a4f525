using System.Buffers;
using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>A part of a text: an added token, or a stretch without one.</summary>
internal readonly record struct Piece(int Start, int End, int? TokenId);

/// <summary>The part of a text that the user wrote.</summary>
internal readonly record struct PlainText(int Start, int End)
{
    public bool Touches(int start, int end) => start < End && Start < end;

    /// <summary>The same part, counted from a later place of the text.</summary>
    public PlainText From(int origin) => new(Start - origin, End - origin);
}

/// <summary>Finds added tokens in a text: the leftmost first, of those the longest.</summary>
/// <remarks>The rules are those of AddedVocabulary::find_matches in Hugging Face's tokenizers.</remarks>
internal sealed class AddedTokens(AddedToken[] tokens)
{
    readonly SearchValues<string> _contents = SearchValues.Create([.. tokens.Select(token => token.Content)], StringComparison.Ordinal);

    readonly Dictionary<char, AddedToken[]> _longestFirst = tokens
        .GroupBy(token => token.Content[0])
        .ToDictionary(group => group.Key, group => group.OrderByDescending(token => token.Content.Length).ToArray());

    public List<Piece> Split(string text, PlainText user)
    {
        var pieces = new List<Piece>();
        var (done, search) = (0, 0);
        while (tokens.Length > 0 && text.AsSpan(search).IndexOfAny(_contents) is >= 0 and var distance)
        {
            var found = search + distance;
            if (Longest(text, found, user) is not AddedToken token)
            {
                search = found + 1;
                continue;
            }
            search = found + token.Content.Length;   // white space that a token takes along can still hold another token
            if (token.SingleWord && (EndsWithWord(text.AsSpan(0, found)) || StartsWithWord(text.AsSpan(search))))
                continue;

            var start = token.StripLeft ? Math.Max(done, text.AsSpan(0, found).TrimEnd().Length) : found;
            var end = token.StripRight ? text.Length - text.AsSpan(search).TrimStart().Length : search;
            if (done < start)
                pieces.Add(new Piece(done, start, null));
            pieces.Add(new Piece(start, end, token.Id));
            done = end;
        }
        if (done < text.Length)
            pieces.Add(new Piece(done, text.Length, null));
        return pieces;
    }

    AddedToken? Longest(string text, int start, PlainText user)
    {
        foreach (var token in _longestFirst[text[start]])
            if (text.AsSpan(start).StartsWith(token.Content)
                && (token.IsOrdinaryText || !user.Touches(start, start + token.Content.Length)))
                return token;
        return null;
    }

    static bool StartsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && CharacterKinds.IsWord(rune);

    static bool EndsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && CharacterKinds.IsWord(rune);
}
