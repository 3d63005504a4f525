namespace MedVlm.Graphs;

internal static class LastTokenWords
{
    /// <summary>The row of each caption's last token, [B, T, D] to [B, D]: only these need the output head.</summary>
    /// <param name="x">Hidden states.</param>
    /// <param name="rows">int64 [B]: the rows' places in [B·T, D].</param>
    public static Tensor LastToken(this Tensor x, Tensor rows) =>
        x.Graph.Node("Gather", [x.Reshape(-1, x.Width), rows], x.Width, [("axis", 0)]);
}
