namespace MedVlm.Evaluation.Scoring;

/// <summary>Counts the n-grams that a candidate shares with its references, no more often than one of them has it ("clipped").</summary>
/// <remarks>For one thread; meant to be used again for the next pair.</remarks>
internal sealed class NgramOverlap(int maxOrder)
{
    readonly Order[] _orders = [.. Enumerable.Range(0, maxOrder).Select(_ => new Order())];
    int[] _prefix = [];

    /// <summary>Forgets the pair before, and counts a candidate's n-grams.</summary>
    public void SetCandidate(int[] words)
    {
        var prefix = Prefixes(words.Length);
        for (int n = 0; n < maxOrder; n++)
            _orders[n].SetCandidate(words.AsSpan(), n, prefix);
    }

    /// <summary>Counts a reference's n-grams.</summary>
    public void AddReference(int[] words)
    {
        var prefix = Prefixes(words.Length);
        for (int n = 0; n < maxOrder; n++)
            _orders[n].AddReference(words.AsSpan(), n, prefix);
    }

    /// <summary>Shared n-grams of one length, from 1.</summary>
    public int Matches(int order) => _orders[order - 1].Matches();

    // Number of the n-gram that begins at a word, among the candidate's of that length; -1: it has no such n-gram.
    Span<int> Prefixes(int length)
    {
        if (_prefix.Length < length)
            _prefix = new int[2 * length];
        _prefix.AsSpan(0, length).Clear();
        return _prefix.AsSpan(0, length);
    }

    sealed class Order
    {
        readonly Dictionary<ulong, int> _ids = [];
        readonly List<(int Candidate, int Reference, int Most)> _counts = [];

        public void SetCandidate(ReadOnlySpan<int> words, int n, Span<int> prefix)
        {
            _ids.Clear();
            _counts.Clear();
            for (int i = 0; i + n < words.Length; i++)
            {
                ulong key = Ngrams.Key(prefix[i], words[i + n]);
                if (!_ids.TryGetValue(key, out int id))
                {
                    _ids.Add(key, id = _counts.Count);
                    _counts.Add(default);
                }
                _counts[id] = _counts[id] with { Candidate = _counts[id].Candidate + 1 };
                prefix[i] = id;
            }
        }

        public void AddReference(ReadOnlySpan<int> words, int n, Span<int> prefix)
        {
            for (int i = 0; i < _counts.Count; i++)
                _counts[i] = _counts[i] with { Reference = 0 };
            for (int i = 0; i + n < words.Length; i++)
            {
                int id = -1;
                if (prefix[i] >= 0 && _ids.TryGetValue(Ngrams.Key(prefix[i], words[i + n]), out id))
                {
                    var count = _counts[id];
                    _counts[id] = count with { Reference = count.Reference + 1, Most = Math.Max(count.Most, count.Reference + 1) };
                }
                else
                    id = -1;
                prefix[i] = id;
            }
        }

        public int Matches()
        {
            int matches = 0;
            foreach (var count in _counts)
                matches += Math.Min(count.Candidate, count.Most);
            return matches;
        }
    }
}
