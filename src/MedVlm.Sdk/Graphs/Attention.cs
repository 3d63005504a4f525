using MedVlm.Kernels;

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
        q.Graph.IntegerKernels && q.Width / heads <= IntegerAttention.MaxHeadSize
            ? q.Graph.Node(
                IntegerAttentionOperator.Name, lengths is null ? [q, k, v] : [q, k, v, lengths], q.Width, [("num_heads", heads)], CustomOperators.Domain)
            : q.Graph.Node(
                "MultiHeadAttention", lengths is null ? [q, k, v] : [q, k, v, null, lengths], q.Width, [("num_heads", heads)],
                GraphBuilder.Microsoft);

    /// <summary>
    /// Each position sees all features of its row, whose keys and values were computed beforehand: q [B, T, H·d], keys and values
    /// [B, H, features, d] to [B, T, H·d].
    /// </summary>
    public static Tensor Cross(Tensor q, (Tensor Keys, Tensor Values) features, int heads) =>
        q.Graph.Node("MultiHeadAttention", [q, features.Keys, features.Values], q.Width, [("num_heads", heads)], GraphBuilder.Microsoft);

    /// <summary>Each head by itself: [B, P, H·d] to [B, H, P, d].</summary>
    public static Tensor SplitHeads(this Tensor x, int heads) =>
        x.Reshape(0, -1, heads, x.Width / heads).Transpose(0, 2, 1, 3);

    /// <summary>
    /// Grouped-query attention (arXiv:2305.13245), each position sees itself and what came before, KV cache included:
    /// q [B, T, H·d], k and v [B, T, K·d] to [B, T, H·d].
    /// </summary>
    /// <param name="q">Queries.</param>
    /// <param name="k">Keys.</param>
    /// <param name="v">Values.</param>
    /// <param name="cache">Keys and values of the tokens before.</param>
    /// <param name="lengths">How long each row's sequence is.</param>
    /// <param name="heads">H.</param>
    /// <param name="keyValueHeads">K.</param>
    /// <param name="window">How many positions each one sees, itself included (sliding window, arXiv:2310.06825); null: all before it.</param>
    public static Tensor Causal(
        Tensor q, Tensor k, Tensor v, KvCacheLayer cache, SequenceLengths lengths, int heads, int keyValueHeads, int? window = null)
    {
        var graph = q.Graph;
        int size = q.Width / heads, cached = CachedHeadSize(size);
        var output = $"{cache.PresentKey}/attention";
        if (graph.IntegerKernels)
        {
            graph.Node(
                IntegerGroupQueryAttentionOperator.Name, [q, k, v, cache.PastKey, cache.PastValue, lengths.Past],
                [output, cache.PresentKey, cache.PresentValue],
                [("num_heads", heads), ("kv_num_heads", keyValueHeads), ("scale", 1 / MathF.Sqrt(size)), ("local_window_size", window ?? 0)],
                CustomOperators.Domain);
            return new Tensor(graph, output, q.Width);
        }
        graph.Node(
            "GroupQueryAttention",
            [q.PadHeads(heads, cached), k.PadHeads(keyValueHeads, cached), v.PadHeads(keyValueHeads, cached), cache.PastKey, cache.PastValue,
                lengths.Past, lengths.Total],
            [output, cache.PresentKey, cache.PresentValue],
            [
                ("num_heads", heads), ("kv_num_heads", keyValueHeads), ("scale", 1 / MathF.Sqrt(size)),
                .. window is { } seen ? [("local_window_size", (object)seen)] : Array.Empty<(string, object)>(),
            ],
            GraphBuilder.Microsoft);
        return new Tensor(graph, output, heads * cached).CutHeads(heads, size);
    }

    /// <summary>
    /// Size of a head in the KV cache: GroupQueryAttention takes multiples of 8 only. Published models have such heads; those of others are
    /// filled up with zeros, which change no product.
    /// </summary>
    public static int CachedHeadSize(int headSize) => (headSize + 7) / 8 * 8;

    static Tensor PadHeads(this Tensor x, int heads, int size)
    {
        int padding = size - x.Width / heads;
        return padding == 0 ? x : x.Reshape(0, -1, heads, size - padding).PadEnd(rank: 4, padding).Reshape(0, -1, heads * size);
    }

    static Tensor CutHeads(this Tensor x, int heads, int size)
    {
        int padding = x.Width / heads - size;
        return padding == 0 ? x : x.Reshape(0, -1, heads, size + padding).Split(size, padding)[0].Reshape(0, -1, heads * size);
    }

    /// <summary>
    /// <see cref="Causal"/>, but in a run that is a prompt's prefix each position sees all others of the run too:
    /// q [B, T, H·d], k and v [B, T, K·d] to [B, T, H·d].
    /// </summary>
    /// <remarks>
    /// GroupQueryAttention is causal whatever it is given, and is what fills the KV cache; the prefix, which has nothing before it, takes
    /// plain attention over the run's own keys. Both are computed: on a prefix the causal one adds a few percent of the layer's work, and
    /// in a decode step the other one looks at a single key.
    /// </remarks>
    /// <param name="q">Queries.</param>
    /// <param name="k">Keys.</param>
    /// <param name="v">Values.</param>
    /// <param name="cache">The layer's cache.</param>
    /// <param name="lengths">How long each row's sequence is.</param>
    /// <param name="seesAll">bool [1]: whether the run is a prefix.</param>
    /// <param name="heads">H.</param>
    /// <param name="keyValueHeads">K.</param>
    public static Tensor CausalAfterPrefix(
        Tensor q, Tensor k, Tensor v, KvCacheLayer cache, SequenceLengths lengths, Tensor seesAll, int heads, int keyValueHeads)
    {
        var causal = Causal(q, k, v, cache, lengths, heads, keyValueHeads);
        var both = Bidirectional(q, ForEachHead(k), ForEachHead(v), heads);
        return q.Graph.Node("Where", [seesAll, both, causal], q.Width);

        // MultiHeadAttention knows no groups: each key and value head is laid beside itself for the query heads that share it.
        Tensor ForEachHead(Tensor x)
        {
            int shared = heads / keyValueHeads, headSize = x.Width / keyValueHeads;
            return shared == 1 ? x : x.Reshape(0, -1, keyValueHeads, headSize).Repeat(shared).Reshape(0, -1, heads * headSize);
        }
    }
}
