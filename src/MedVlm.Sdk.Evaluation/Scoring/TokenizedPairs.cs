using System.Runtime.CompilerServices;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation.Scoring;

/// <summary>The pairs of a set as rows of word ids.</summary>
/// <param name="Words">What the ids stand for.</param>
/// <param name="References">Of each pair, of each of its references.</param>
/// <param name="Candidates">Of each pair.</param>
internal sealed record TokenizedPairs(Vocabulary Words, int[][][] References, int[][] Candidates)
{
    // Metrics that score the same list share its tokens; they go when the list does.
    static readonly ConditionalWeakTable<IReadOnlyList<CaptionPair>, Dictionary<TextTokens, (CaptionPair[] Pairs, TokenizedPairs Tokens)>> s_cache = [];

    public int Count => Candidates.Length;

    /// <summary>Splits the texts of a set, or finds them split.</summary>
    /// <exception cref="ArgumentException">The set is empty, or a pair has no reference.</exception>
    public static TokenizedPairs Of(IReadOnlyList<CaptionPair> pairs, TextTokens tokens, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        CaptionPair[] copy = [.. pairs];
        if (copy.Length == 0)
            throw new ArgumentException("There are no pairs to score.", nameof(pairs));
        if (Array.Find(copy, pair => pair.References.Count == 0) is { } bare)
            throw new ArgumentException($"The pair \"{bare.Id}\" has no reference.", nameof(pairs));

        var known = s_cache.GetOrCreateValue(pairs);
        lock (known)
        {
            // The list may have been changed since; a pair cannot.
            if (!known.TryGetValue(tokens, out var found) || !copy.AsSpan().SequenceEqual(found.Pairs, ReferenceEqualityComparer.Instance))
                known[tokens] = found = (copy, Split(copy, tokens, cancellationToken));
            return found.Tokens;
        }
    }

    /// <summary>Splits COCO's words where they hold a space that does not break, as in 1 1/2: what Python's split() does to them.</summary>
    public TokenizedPairs SplitHardSpaces()
    {
        const char HardSpace = '\u00A0';
        var texts = Words.Words();
        if (!texts.Any(word => word?.Contains(HardSpace) == true))
            return this;

        int[][] parts = Array.ConvertAll(texts, word => word is null ? []
            : Array.ConvertAll(word.Split(HardSpace, StringSplitOptions.RemoveEmptyEntries), part => Words.IdOf(part)));
        int[] Row(int[] words) => [.. words.SelectMany(word => parts[word])];
        return new(Words, Array.ConvertAll(References, rows => Array.ConvertAll(rows, Row)), Array.ConvertAll(Candidates, Row));
    }

    static TokenizedPairs Split(CaptionPair[] pairs, TextTokens tokens, CancellationToken cancellationToken)
    {
        var words = new Vocabulary();
        var (references, candidates) = (new int[pairs.Length][][], new int[pairs.Length][]);
        PairWork.ForEach(pairs.Length, () => new TokenRow(words), (i, row) =>
        {
            int[] Ids(string text)
            {
                tokens.Split(text, row);
                return row.Take();
            }

            candidates[i] = Ids(pairs[i].Candidate);
            references[i] = [.. pairs[i].References.Select(Ids)];
        }, cancellationToken);
        return new(words, references, candidates);
    }
}
