namespace MedVlm.Evaluation.Scoring;

/// <summary>Length of the longest common subsequence. For one thread.</summary>
internal sealed class CommonSubsequence
{
    int[] _row = [];

    public int Length(ReadOnlySpan<int> a, ReadOnlySpan<int> b, CancellationToken cancellationToken)
    {
        if (_row.Length <= b.Length)
            _row = new int[2 * b.Length + 1];
        var row = _row.AsSpan(0, b.Length + 1);   // the best of a's start and each start of b
        row.Clear();
        foreach (int word in a)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int diagonal = 0;
            for (int j = 0; j < b.Length; j++)
            {
                int above = row[j + 1];
                row[j + 1] = word == b[j] ? diagonal + 1 : Math.Max(above, row[j]);
                diagonal = above;
            }
        }
        return row[b.Length];
    }
}
