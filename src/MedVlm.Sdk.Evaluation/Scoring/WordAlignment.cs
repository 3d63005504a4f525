namespace MedVlm.Evaluation.Scoring;

/// <summary>METEOR's alignment: which word of a candidate matches which word of a reference. For one thread.</summary>
/// <param name="stemOf">For each word its stem.</param>
/// <param name="synonyms">What may stand for a stem; null: synonyms do not match.</param>
internal sealed class WordAlignment(int[] stemOf, SynonymIds? synonyms)
{
    int[] _matchOf = [];
    bool[] _taken = [];

    /// <summary>Matches words in stages: equal ones first, then equal stems, then synonyms.</summary>
    /// <returns>How many words match, and in how many pieces of words that stand side by side in both texts.</returns>
    public (int Matches, int Chunks) Align(int[] candidate, int[] reference, CancellationToken cancellationToken)
    {
        if (_matchOf.Length < candidate.Length)
            _matchOf = new int[2 * candidate.Length];
        if (_taken.Length < reference.Length)
            _taken = new bool[2 * reference.Length];
        var matchOf = _matchOf.AsSpan(0, candidate.Length);
        var taken = _taken.AsSpan(0, reference.Length);
        matchOf.Fill(-1);
        taken.Clear();

        for (int stage = 0; stage < (synonyms is null ? 2 : 3); stage++)
        {
            // From the last word to the first, each taking the last word that is left: the reference's order.
            for (int i = candidate.Length - 1; i >= 0; i--)
            {
                cancellationToken.ThrowIfCancellationRequested();
                for (int j = reference.Length - 1; j >= 0 && matchOf[i] < 0; j--)
                    if (!taken[j] && Matches(stage, candidate[i], reference[j]))
                        (matchOf[i], taken[j]) = (j, true);
            }
        }

        int matches = 0, chunks = 0, before = -2;
        foreach (int match in matchOf)
        {
            if (match >= 0)
            {
                matches++;
                if (before < 0 || match != before + 1)
                    chunks++;
            }
            before = match >= 0 ? match : -2;   // a word without a match ends the piece
        }
        return (matches, chunks);
    }

    bool Matches(int stage, int candidate, int reference) => stage switch
    {
        0 => candidate == reference,
        1 => stemOf[candidate] == stemOf[reference],
        _ => synonyms!.Matches(stemOf[candidate], stemOf[reference]),
    };
}
