namespace MedVlm.Kernels;

/// <summary>How rows are shared out to threads: some ten thousand numbers at a time, since a hand-over takes about as long as a thousand.</summary>
internal static class RowChunks
{
    const int Numbers = 16384;

    /// <summary>Rows of a chunk.</summary>
    public static int Rows(int rows, int width) => Math.Clamp(Numbers / Math.Max(width, 1), 1, Math.Max(rows, 1));

    /// <summary>Chunks.</summary>
    public static int Count(int rows, int chunkRows) => (rows + chunkRows - 1) / chunkRows;
}
