using MedVlm.Graphs;

namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>DeBERTa-v2 and v3 (arXiv:2111.09543): far distances share buckets, projections are shared between content and position.</summary>
/// <remarks>Reference: transformers, models/deberta_v2.</remarks>
internal sealed class DebertaV2 : DebertaFamily
{
    public const string Type = "deberta-v2";

    public DebertaV2(DebertaConfig config) : base(config)
    {
        Require(
            config.PositionBuckets < 1 || config.PositionBuckets > 1 && config.PositionBuckets / 2 < config.LargestDistance - 1, "position_buckets",
            $"{config.PositionBuckets} beside {config.LargestDistance} relative positions");
        Require(config.NormRelEbd.Trim() is "none" or "layer_norm", "norm_rel_ebd", config.NormRelEbd);
        Require(config.ConvKernelSize <= 0 || config.ConvKernelSize % 2 == 1 && config.ConvKernelSize < 64, "conv_kernel_size", $"{config.ConvKernelSize}");
        if (config.ConvKernelSize > 0)
        {
            CheckActivation(config.ConvAct, "conv_act", tanh: true);
            Require(config.ConvGroups > 0 && config.HiddenSize % config.ConvGroups == 0, "conv_groups", $"{config.ConvGroups}");
        }
    }

    /// <summary>Half the rows of the table.</summary>
    int Span => Config.PositionBuckets > 0 ? Config.PositionBuckets : Config.LargestDistance;

    public override Func<int, int, int>? RelativeRow => !Config.RelativeAttention ? null : (distance, _) =>
        Math.Clamp((Config.PositionBuckets > 0 ? Bucket(distance, Config.PositionBuckets, Config.LargestDistance) : distance) + Span, 0, 2 * Span - 1);

    /// <summary>Distances up to half the buckets have one each; farther ones share the rest, logarithmically (make_log_bucket_position, in float32 as there).</summary>
    internal static int Bucket(int distance, int buckets, int largestDistance)
    {
        int middle = buckets / 2, length = distance < middle && distance > -middle ? middle - 1 : Math.Abs(distance);
        if (length <= middle)
            return distance;

        float share = MathF.Log(length / (float)middle) / MathF.Log((largestDistance - 1) / (float)middle) * (middle - 1);
        return Math.Sign(distance) * ((int)MathF.Ceiling(share) + middle);
    }

    public override Tensor Hidden(Tensor embeddings, RelativeDistances? distances, Weights w, int layer)
    {
        var x = Embedded(embeddings, w);
        var relative = distances is null ? null : RelativeEmbeddings(x.Graph, distances, Encoder(w));
        for (int i = 0; i < layer; i++)
        {
            var before = x;
            x = Layer(x, relative, distances, Encoder(w)[$"layer.{i}"]);
            if (i == 0 && Config.ConvKernelSize > 0)
                x = AddConvolution(before, x, Encoder(w)["conv"]);
        }
        return x;
    }

    /// <summary>The rows that the run needs, [1, S, D].</summary>
    Tensor RelativeEmbeddings(GraphBuilder graph, RelativeDistances distances, Weights w)
    {
        var rows = w["rel_embeddings"].Get(graph, ".weight", [2L * Span, HiddenSize], size: "2 * position_buckets").Rows(distances.Rows).Reshape(1, -1, HiddenSize);
        return Config.NormRelEbd.Trim() == "layer_norm" ? rows.LayerNorm(w["LayerNorm"], Config.LayerNormEps) : rows;
    }

    Tensor Layer(Tensor x, Tensor? relative, RelativeDistances? distances, Weights w)
    {
        var (attn, heads) = (w["attention.self"], Config.NumAttentionHeads);
        var content = (Heads(x, "query_proj"), Heads(x, "key_proj"), Heads(x, "value_proj"));
        var positionKeys = Config.HasContentToPosition ? Heads(relative!, Config.ShareAttKey ? "key_proj" : "pos_key_proj") : null;
        var positionQueries = Config.HasPositionToContent ? Heads(relative!, Config.ShareAttKey ? "query_proj" : "pos_query_proj") : null;
        return AfterAttention(
            x, content.Disentangled(heads, positionKeys, positionQueries, distances), w, Config.IntermediateSize, Config.HiddenAct, Config.LayerNormEps);

        Tensor Heads(Tensor input, string projection) => input.Linear(attn[projection], HiddenSize, bias: true).SplitHeads(heads);
    }

    /// <summary><c>LayerNorm(first layer + act(conv(embeddings)))</c>: neighbours are seen once without attention.</summary>
    Tensor AddConvolution(Tensor embeddings, Tensor x, Weights w) =>
        (x + Activate(embeddings.Convolution(w["conv"], HiddenSize, Config.ConvKernelSize, Config.ConvGroups), Config.ConvAct))
        .LayerNorm(w["LayerNorm"], Config.LayerNormEps);
}
