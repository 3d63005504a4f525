namespace MedVlm.Tokenizers;

/// <summary>The merges of a BPE model over a sequence of any length.</summary>
/// <remarks>Microsoft.ML.Tokenizers 2.0.1 removes each merged symbol by moving all that follow: 1 MB of one letter takes it 87 s; and its
/// tables take 0.1 s to make, at each load. This loop costs O(n log n); the tests hold the two against each other.</remarks>
/// <param name="count">How many there will be.</param>
internal sealed class BytePairMerges(int count = 0)
{
    const int None = -1;
    readonly Dictionary<(int Left, int Right), (int Rank, int Merged)> _merges = new(count);

    /// <summary>Adds the merge that comes after all before it. False if the pair has one already.</summary>
    public bool TryAdd(int left, int right, int merged) => TryAdd(left, right, merged, _merges.Count);

    /// <summary>Adds a merge of a given rank, the lower the better. False if the pair has one already.</summary>
    public bool TryAdd(int left, int right, int merged, int rank) => _merges.TryAdd((left, right), (rank, merged));

    /// <summary>Merges symbols in place, best rank first, of equal ranks the leftmost; returns how many are left.</summary>
    public int Apply(Span<int> symbols)
    {
        // A linked list over the positions: a merged symbol lives on at its left position.
        var (next, previous) = (new int[symbols.Length], new int[symbols.Length]);
        var queue = new PriorityQueue<int, (int Rank, int Position)>(symbols.Length);
        for (var i = 0; i < symbols.Length; i++)
        {
            next[i] = i + 1 < symbols.Length ? i + 1 : None;
            previous[i] = i - 1;
            Offer(symbols, i, next[i]);
        }

        while (queue.TryDequeue(out var merged, out var place))
        {
            var left = place.Position;
            var right = next[left];
            var stale = symbols[left] == None || right == None
                || !_merges.TryGetValue((symbols[left], symbols[right]), out var merge) || merge.Merged != merged;
            if (stale)
                continue;

            symbols[left] = merged;
            symbols[right] = None;
            next[left] = next[right];
            if (next[left] != None)
                previous[next[left]] = left;
            Offer(symbols, previous[left], left);
            Offer(symbols, left, next[left]);
        }
        return Compact(symbols);

        void Offer(Span<int> symbols, int left, int right)
        {
            if (left != None && right != None && _merges.TryGetValue((symbols[left], symbols[right]), out var merge))
                queue.Enqueue(merge.Merged, (merge.Rank, left));
        }
    }

    static int Compact(Span<int> symbols)
    {
        var count = 0;
        foreach (var symbol in symbols)
            if (symbol != None)
                symbols[count++] = symbol;
        return count;
    }
}
