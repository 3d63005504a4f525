namespace MedVlm.Graphs;

internal static class RowWords
{
    /// <summary>Rows of [..., D], counted through all dimensions but the last, put in another order: [...] of them to [..., D].</summary>
    /// <param name="x">The rows.</param>
    /// <param name="rows">int64: for each row of the result its place in <paramref name="x"/>, which the host has computed.</param>
    public static Tensor Rows(this Tensor x, Tensor rows) =>
        x.Graph.Node("Gather", [x.Reshape(-1, x.Width), rows], x.Width, [("axis", 0)]);

    /// <summary>The first of the items along the first dimension, [B, …] to [1, …].</summary>
    public static Tensor First(this Tensor x) => x.Graph.Node("Gather", [x, x.Graph.Constant(0)], x.Width, [("axis", 0)]);

    /// <summary>The row of each caption's last token, [B, T, D] to [B, D]: only these need the output head.</summary>
    /// <param name="x">Hidden states.</param>
    /// <param name="rows">int64 [B]: the rows' places in [B·T, D].</param>
    public static Tensor LastToken(this Tensor x, Tensor rows) => x.Rows(rows);
}
