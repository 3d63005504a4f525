namespace MedVlm.Kernels;

/// <summary>How rows are shared out to threads: some ten thousand numbers at a time, since a hand-over takes about as long as a thousand.</summary>
internal static class RowChunks
{
    const int Numbers = 16384;

    /// <summary>Widest row that is kept on the stack between two steps of a kernel: 64 KiB.</summary>
    const int StackWidth = 16384;

    /// <summary>Memory for rows between two steps of a kernel, one for each chunk, where the stack is too small for them; empty where it is not.</summary>
    public static Scratch Scratch(KernelContext context, int rows, int width) =>
        width <= StackWidth ? default : context.Scratch(checked((nuint)Count(rows, Rows(rows, width)) * (nuint)width * sizeof(float)));

    /// <summary>Rows of a chunk.</summary>
    public static int Rows(int rows, int width) => Math.Clamp(Numbers / Math.Max(width, 1), 1, Math.Max(rows, 1));

    /// <summary>Chunks.</summary>
    public static int Count(int rows, int chunkRows) => (rows + chunkRows - 1) / chunkRows;
}
