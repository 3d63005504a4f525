namespace MedVlm.Graphs;

internal static class PixelShuffleWords
{
    /// <summary>
    /// Joins each block of s×s patches into one token, [B, n², C] to [B, n²/s², C·s²]: the block's patches row by row,
    /// each with its channels in order.
    /// </summary>
    /// <param name="x">Patches of a square image, row by row.</param>
    /// <param name="side">n, patches in a row.</param>
    /// <param name="factor">s.</param>
    public static Tensor PixelShuffle(this Tensor x, int side, int factor)
    {
        int blocks = side / factor;
        return x.Reshape(0, blocks, factor, blocks, factor, x.Width)
                .Transpose(0, 1, 3, 2, 4, 5)                                                  // [B, n/s, n/s, s, s, C]
                .Reshape(0, blocks * blocks, factor * factor * x.Width);
    }
}
