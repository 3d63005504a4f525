namespace MedVlm.Graphs;

/// <summary>Rotary embedding of one run: the host computes cos and sin of each token's angles, whatever the family's scheme.</summary>
/// <param name="Cos">[B·T, d/2].</param>
/// <param name="Sin">[B·T, d/2].</param>
/// <param name="Rows">int64 [B, T]: each token's row in the two tables, 0, 1, 2, …</param>
internal sealed record Rotary(Tensor Cos, Tensor Sin, Tensor Rows);

internal static class RotaryWords
{
    /// <summary>
    /// Turns each head's two halves: <c>x · cos + [-x2, x1] · sin</c> (arXiv:2104.09864, the half-split layout of transformers),
    /// [B, T, heads·d] to the same.
    /// </summary>
    public static Tensor Rotate(this Tensor x, Rotary rotary) =>
        x.Graph.Node("RotaryEmbedding", [x, rotary.Rows, rotary.Cos, rotary.Sin], x.Width, domain: GraphBuilder.Microsoft);

    /// <summary>The same for the first dimensions of each head only; the others stay as they are.</summary>
    /// <param name="x">[B, T, heads·d].</param>
    /// <param name="rotary">cos and sin of half as many angles as dimensions are turned.</param>
    /// <param name="heads">Heads in <paramref name="x"/>.</param>
    /// <param name="dimensions">Dimensions of a head that are turned.</param>
    public static Tensor RotatePart(this Tensor x, Rotary rotary, int heads, int dimensions) =>
        x.Graph.Node(
            "RotaryEmbedding", [x, rotary.Rows, rotary.Cos, rotary.Sin], x.Width,
            [("num_heads", heads), ("rotary_embedding_dim", dimensions)], GraphBuilder.Microsoft);
}
