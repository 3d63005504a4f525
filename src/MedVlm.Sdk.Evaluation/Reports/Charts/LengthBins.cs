namespace MedVlm.Evaluation.Reports.Charts;

/// <summary>The pairs in groups of about one size by the length of their references, in words.</summary>
/// <param name="Indexes">The pairs of each group.</param>
/// <param name="Words">Mean length in each group.</param>
/// <param name="Ranges">Shortest and longest in each group.</param>
internal sealed record LengthBins(IReadOnlyList<int[]> Indexes, IReadOnlyList<double> Words, IReadOnlyList<(double From, double To)> Ranges)
{
    const int MaxBins = 8, LeastInBin = 3;

    /// <param name="lengths">Words of each pair's references, their mean where there are several.</param>
    public static LengthBins Of(IReadOnlyList<double> lengths)
    {
        // Equal lengths stay together: each length goes where the first of its kind would.
        int bins = Math.Clamp(lengths.Count / LeastInBin, 1, MaxBins), before = 0;
        var groups = new List<List<int>>();
        int last = -1;
        foreach (var equal in Enumerable.Range(0, lengths.Count).GroupBy(pair => lengths[pair]).OrderBy(group => group.Key))
        {
            int bin = (int)((long)before * bins / lengths.Count);
            if (bin != last)
                groups.Add([]);
            groups[^1].AddRange(equal);
            (last, before) = (bin, before + equal.Count());
        }

        return new LengthBins(
            [.. groups.Select(group => group.ToArray())], [.. groups.Select(group => group.Average(pair => lengths[pair]))],
            [.. groups.Select(group => (group.Min(pair => lengths[pair]), group.Max(pair => lengths[pair])))]);
    }
}
