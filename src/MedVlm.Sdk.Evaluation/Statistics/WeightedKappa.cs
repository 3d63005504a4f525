namespace MedVlm.Evaluation.Statistics;

/// <summary>Cohen's weighted kappa: agreement of two raters beyond chance, where some disagreements are worse than others.</summary>
/// <remarks>
/// 1 is perfect agreement, 0 what raters with these habits would reach by chance. Cohen, Weighted kappa: nominal scale agreement with
/// provision for scaled disagreement or partial credit, Psychological Bulletin 70 (1968).
/// </remarks>
public static class WeightedKappa
{
    /// <summary>Kappa of a table of counts or shares.</summary>
    /// <param name="table">[categories, categories]: how often the first rater said the row and the second the column.</param>
    /// <param name="disagreement">[categories, categories]: weight of the disagreement between row and column, 0 on the diagonal.</param>
    /// <returns>Kappa; null where it is not defined, because by chance there would be no disagreement either.</returns>
    /// <exception cref="ArgumentException">The two are not square, or not of one size.</exception>
    public static double? Of(double[,] table, double[,] disagreement)
    {
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(disagreement);
        int n = table.GetLength(0);
        if (table.GetLength(1) != n || disagreement.GetLength(0) != n || disagreement.GetLength(1) != n)
            throw new ArgumentException("Table and weights are square and of one size.", nameof(table));

        double[] rows = new double[n], columns = new double[n];
        double total = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
            {
                rows[i] += table[i, j];
                columns[j] += table[i, j];
                total += table[i, j];
            }

        double observed = 0, chance = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
            {
                observed += disagreement[i, j] * table[i, j];
                chance += disagreement[i, j] * rows[i] * columns[j];
            }
        return chance > 0 ? 1 - observed * total / chance : null;
    }

    /// <summary>Kappa of two raters' whole numbers, such as grades, where a disagreement weighs by the square of its distance.</summary>
    /// <param name="first">Answers of the first rater.</param>
    /// <param name="second">Answers of the second rater for the same units, in the same order.</param>
    /// <returns>Kappa; null where it is not defined: no answers, or both raters said always the same one.</returns>
    /// <remarks>Equal to an intraclass correlation: Fleiss and Cohen, Educational and Psychological Measurement 33 (1973).</remarks>
    /// <exception cref="ArgumentException">The two are not of one length.</exception>
    public static double? Quadratic(IReadOnlyList<int> first, IReadOnlyList<int> second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Count != second.Count)
            throw new ArgumentException($"The first rater has {first.Count} answers, the second {second.Count}: give those of the same units.", nameof(second));

        return Quadratic(first, second, [.. Enumerable.Range(0, first.Count)]);
    }

    /// <summary>The same over a sample of the units, for a bootstrap.</summary>
    internal static double? Quadratic(IReadOnlyList<int> first, IReadOnlyList<int> second, ReadOnlySpan<int> sample)
    {
        int[] values = [.. first.Concat(second).Distinct().Order()];
        var table = new double[values.Length, values.Length];
        foreach (int unit in sample)
            table[Array.BinarySearch(values, first[unit]), Array.BinarySearch(values, second[unit])]++;

        var squares = new double[values.Length, values.Length];
        for (int i = 0; i < values.Length; i++)
            for (int j = 0; j < values.Length; j++)
                squares[i, j] = ((double)values[i] - values[j]) * ((double)values[i] - values[j]);
        return Of(table, squares);
    }
}
