namespace MedVlm.Graphs;

/// <summary>Where the tokens of one run stand to each other: the host computes it, whatever the family's buckets.</summary>
/// <param name="Rows">int64 [S]: rows of the table of relative embeddings that the run needs.</param>
/// <param name="FromContent">int64 [T, T]: for tokens i and j the place of their distance in a [T, S] of token i.</param>
/// <param name="ToContent">int64 [T, T]: the same in a [T, S] of token j.</param>
internal sealed record RelativeDistances(Tensor Rows, Tensor FromContent, Tensor ToContent);

/// <summary>Disentangled attention (DeBERTa, arXiv:2006.03654).</summary>
internal static class DisentangledAttentionWords
{
    /// <summary>
    /// Attention by content and by relative position: content to content, content to position (<c>q_i · posKey[i - j]</c>) and position to
    /// content (<c>k_j · posQuery[i - j]</c>), whose sum is divided by <c>sqrt(d · terms)</c>. q, k, v [B, H, T, d] to [B, T, H·d].
    /// </summary>
    /// <param name="content">Queries, keys and values.</param>
    /// <param name="heads">H.</param>
    /// <param name="positionKeys">[1, H, S, d]; null leaves content to position out.</param>
    /// <param name="positionQueries">[1, H, S, d]; null leaves position to content out.</param>
    /// <param name="distances">The tokens' distances; null where neither term is there.</param>
    public static Tensor Disentangled(
        this (Tensor Q, Tensor K, Tensor V) content, int heads, Tensor? positionKeys, Tensor? positionQueries, RelativeDistances? distances)
    {
        var (q, k, v) = content;
        int headSize = v.Width, terms = 1 + (positionKeys is null ? 0 : 1) + (positionQueries is null ? 0 : 1);
        var scale = q.Graph.Scalar(1 / MathF.Sqrt(headSize * terms));

        q *= scale;
        var scores = q.MatMul(k.Transpose(0, 1, 3, 2));                                                           // [B, H, T, T]
        if (positionKeys is not null)
            scores += q.MatMul(positionKeys.Transpose(0, 1, 3, 2)).AtDistances(distances!.FromContent);
        if (positionQueries is not null)
            scores += k.MatMul((positionQueries * scale).Transpose(0, 1, 3, 2)).AtDistances(distances!.ToContent);
        return scores.Softmax().MatMul(v).Transpose(0, 2, 1, 3).Reshape(0, 0, heads * headSize);
    }

    /// <summary>A score for each distance to a score for each pair of tokens: [B, H, T, S] to [B, H, T, T].</summary>
    /// <remarks>One Gather over [B, H, T·S]: the places are the same for all rows and heads, so they need not be laid out for each as GatherElements asks for.</remarks>
    static Tensor AtDistances(this Tensor scores, Tensor places) =>
        scores.Graph.Node("Gather", [scores.Reshape(0, 0, -1), places], 0, [("axis", 2)]);

    /// <summary>Softmax over the last dimension.</summary>
    static Tensor Softmax(this Tensor x) => x.Graph.Node("Softmax", [x], x.Width, [("axis", -1)]);
}
