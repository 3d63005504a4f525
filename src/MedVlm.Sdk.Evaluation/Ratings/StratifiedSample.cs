using MedVlm.Evaluation.Statistics;

namespace MedVlm.Evaluation.Ratings;

/// <summary>A random sample in which every stratum has its share.</summary>
public static class StratifiedSample
{
    /// <summary>Draws without replacement.</summary>
    /// <param name="strata">For each member of the population the name of its stratum.</param>
    /// <param name="size">How many to draw; all members if there are not more.</param>
    /// <param name="seed">The same seed gives the same sample, on any machine.</param>
    /// <returns>Indexes of the members, in random order.</returns>
    /// <remarks>
    /// Strata get numbers of members in proportion to their size, the remainders going to the largest fractions (Hamilton's method), so
    /// that a mean over the sample estimates the population's without weights (Cochran, Sampling Techniques, 1977, section 5.5). A
    /// stratum of at least population / size members has one in the sample; any smaller one may go without.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="size"/> is less than 1.</exception>
    public static IReadOnlyList<int> Draw(IReadOnlyList<string> strata, int size, long seed)
    {
        ArgumentNullException.ThrowIfNull(strata);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        size = Math.Min(size, strata.Count);
        var random = new SplitMix64(seed, 0);

        int[][] groups = [.. Enumerable.Range(0, strata.Count).GroupBy(member => strata[member]).OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => group.ToArray())];
        var sample = new List<int>(size);
        foreach (var (group, share) in groups.Zip(Shares([.. groups.Select(group => group.Length)], size)))
        {
            Shuffle(group, ref random);
            sample.AddRange(group[..share]);
        }

        int[] order = [.. sample];
        Shuffle(order, ref random);   // raters who stop early have still seen a random part
        return order;
    }

    static int[] Shares(int[] sizes, int total)
    {
        long population = sizes.Sum(size => (long)size);
        int[] shares = [.. sizes.Select(size => (int)((long)size * total / population))];
        var byRemainder = Enumerable.Range(0, sizes.Length).OrderByDescending(i => (long)sizes[i] * total % population).ThenBy(i => i);
        foreach (int i in byRemainder.Take(total - shares.Sum()))
            shares[i]++;
        return shares;
    }

    static void Shuffle(int[] members, ref SplitMix64 random)
    {
        for (int i = members.Length - 1; i > 0; i--)
        {
            int other = random.Next(i + 1);
            (members[i], members[other]) = (members[other], members[i]);
        }
    }
}
