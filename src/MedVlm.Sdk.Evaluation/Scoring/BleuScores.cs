namespace MedVlm.Evaluation.Scoring;

/// <summary>Scores whose value over many pairs comes from the sums of their counts.</summary>
internal sealed class BleuScores(string name, BleuCounts[] counts, Func<BleuCounts, double> pair, Func<BleuCounts, double> corpus)
    : MetricScores(name, Array.ConvertAll(counts, count => pair(count)))
{
    public override double CorpusOf(ReadOnlySpan<int> sample)
    {
        var sum = default(BleuCounts);
        foreach (int i in sample)
            sum.Add(counts[i]);
        return corpus(sum);
    }

    /// <summary>Counts every pair of a set.</summary>
    public static BleuCounts[] Count(TokenizedPairs pairs, CancellationToken cancellationToken)
    {
        var counts = new BleuCounts[pairs.Count];
        PairWork.ForEach(pairs.Count, () => new NgramOverlap(BleuCounts.MaxOrder),
            (i, overlap) => counts[i] = BleuCounts.Of(pairs.Candidates[i], pairs.References[i], overlap), cancellationToken);
        return counts;
    }
}
