namespace MedVlm.Evaluation.Scoring;

/// <summary>What BLEU sums up over pairs: Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002.</summary>
internal record struct BleuCounts
{
    public const int MaxOrder = 4;

    long _correct1, _correct2, _correct3, _correct4;
    long _total1, _total2, _total3, _total4;

    /// <summary>Words of the candidate.</summary>
    public long Length { get; private set; }

    /// <summary>Words of the reference that is closest in length, the shorter of two.</summary>
    public long ReferenceLength { get; private set; }

    /// <summary>The candidate's n-grams that a reference has, n from 1 to 4.</summary>
    public readonly long Correct(int order) => order switch { 1 => _correct1, 2 => _correct2, 3 => _correct3, _ => _correct4 };

    /// <summary>The candidate's n-grams.</summary>
    public readonly long Total(int order) => order switch { 1 => _total1, 2 => _total2, 3 => _total3, _ => _total4 };

    /// <summary>Counts a pair.</summary>
    public static BleuCounts Of(int[] candidate, int[][] references, NgramOverlap overlap)
    {
        overlap.SetCandidate(candidate);
        int closest = references[0].Length;
        foreach (var reference in references)
        {
            overlap.AddReference(reference);
            var (distance, best) = (Math.Abs(reference.Length - candidate.Length), Math.Abs(closest - candidate.Length));
            if (distance < best || distance == best && reference.Length < closest)
                closest = reference.Length;
        }
        return new()
        {
            _correct1 = overlap.Matches(1), _correct2 = overlap.Matches(2), _correct3 = overlap.Matches(3), _correct4 = overlap.Matches(4),
            _total1 = candidate.Length, _total2 = Math.Max(0, candidate.Length - 1),
            _total3 = Math.Max(0, candidate.Length - 2), _total4 = Math.Max(0, candidate.Length - 3),
            Length = candidate.Length, ReferenceLength = closest,
        };
    }

    public void Add(in BleuCounts other)
    {
        _correct1 += other._correct1;
        _correct2 += other._correct2;
        _correct3 += other._correct3;
        _correct4 += other._correct4;
        _total1 += other._total1;
        _total2 += other._total2;
        _total3 += other._total3;
        _total4 += other._total4;
        Length += other.Length;
        ReferenceLength += other.ReferenceLength;
    }
}
