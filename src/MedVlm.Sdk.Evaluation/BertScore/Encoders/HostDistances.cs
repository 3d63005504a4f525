namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>The three inputs of <see cref="Graphs.RelativeDistances"/> for a run of one length.</summary>
/// <param name="Rows">[S]: rows of the table of relative embeddings, those that distances -(T - 1) … T - 1 need, in order.</param>
/// <param name="FromContent">[T, T]: for tokens i, j the place <c>i · S + row</c>.</param>
/// <param name="ToContent">[T, T]: for tokens i, j the place <c>j · S + row</c>.</param>
internal sealed record HostDistances(long[] Rows, long[] FromContent, long[] ToContent)
{
    /// <param name="length">T.</param>
    /// <param name="rowOf">The row for a distance <c>i - j</c> in a run of a length; it never falls as the distance grows.</param>
    public static HostDistances Of(int length, Func<int, int, int> rowOf)
    {
        int[] byDistance = [.. Enumerable.Range(1 - length, 2 * length - 1).Select(distance => rowOf(distance, length))];
        int first = byDistance[0], count = byDistance[^1] - first + 1;
        long[] rows = [.. Enumerable.Range(first, count)];

        var (from, to) = (new long[length * length], new long[length * length]);
        for (int i = 0; i < length; i++)
            for (int j = 0; j < length; j++)
            {
                int row = byDistance[i - j + length - 1] - first;
                from[i * length + j] = (long)i * count + row;
                to[i * length + j] = (long)j * count + row;
            }
        return new HostDistances(rows, from, to);
    }
}
