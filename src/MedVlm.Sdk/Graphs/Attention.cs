namespace MedVlm.Graphs;

/// <summary>Keys and values of one decoder layer, [slots, K, S, d] each: the past goes in, the present comes out in place.</summary>
internal sealed record KvCacheLayer(Tensor PastKey, Tensor PastValue, string PresentKey, string PresentValue);

/// <summary>How long each row's sequence is.</summary>
/// <param name="Past">int32 [B]: length of each row, this step included, minus one (the <c>seqlens_k</c> of GroupQueryAttention).</param>
/// <param name="Total">int32 scalar on the host: the longest row, this step included.</param>
internal sealed record SequenceLengths(Tensor Past, Tensor Total);

/// <summary>Scaled dot-product attention, scale 1/sqrt(head size).</summary>
internal static class Attention
{
    /// <summary>Every position sees every other of its row: q, k, v [B, P, C] to [B, P, C].</summary>
    /// <param name="q">Queries.</param>
    /// <param name="k">Keys.</param>
    /// <param name="v">Values.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="lengths">int32 [B]: positions of each row that are there, the rest is padding that nobody sees; null: all are.</param>
    public static Tensor Bidirectional(Tensor q, Tensor k, Tensor v, int heads, Tensor? lengths = null) =>
        q.Graph.Node(
            "MultiHeadAttention", lengths is null ? [q, k, v] : [q, k, v, null, lengths], q.Width, [("num_heads", heads)],
            GraphBuilder.Microsoft);

    /// <summary>
    /// Grouped-query attention (arXiv:2305.13245), each position sees itself and what came before, KV cache included:
    /// q [B, T, H·d], k and v [B, T, K·d] to [B, T, H·d].
    /// </summary>
    public static Tensor Causal(Tensor q, Tensor k, Tensor v, KvCacheLayer cache, SequenceLengths lengths, int heads, int keyValueHeads)
    {
        var graph = q.Graph;
        var output = $"{cache.PresentKey}/attention";
        graph.Node(
            "GroupQueryAttention",
            [q, k, v, cache.PastKey, cache.PastValue, lengths.Past, lengths.Total],
            [output, cache.PresentKey, cache.PresentValue],
            [("num_heads", heads), ("kv_num_heads", keyValueHeads)],
            GraphBuilder.Microsoft);
        return new Tensor(graph, output, q.Width);
    }
}
