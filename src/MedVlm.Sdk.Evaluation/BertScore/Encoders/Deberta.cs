using MedVlm.Graphs;

namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>What DeBERTa and DeBERTa-v2 share: embeddings, and relative positions beside or in place of learned ones.</summary>
internal abstract class DebertaFamily : TextEncoder
{
    // At this length two tables of distances [T, T] take 1 GiB, and attention 256 MiB for each head.
    const int MostTokens = 8192;

    protected DebertaFamily(DebertaConfig config)
    {
        Config = config;
        Check(config.VocabSize, config.HiddenSize, config.NumHiddenLayers, config.NumAttentionHeads, config.IntermediateSize, config.MaxPositionEmbeddings);
        CheckActivation(config.HiddenAct, "hidden_act");
        config.Check(Require);
        // Where no table of positions bears the number out, nothing else bounds it.
        if (config.MaxPositionEmbeddings > MostTokens)
            throw new UnsupportedModelException(
                $"config.json: max_position_embeddings is {config.MaxPositionEmbeddings}; BERTScore runs this family on {MostTokens} tokens at most, since memory "
                + "grows with the square of their number. Take another encoder (docs/bertscore.md lists what runs).");
    }

    protected DebertaConfig Config { get; }

    public override int HiddenSize => Config.HiddenSize;

    public override int EmbeddingSize => Config.EmbeddingSize ?? Config.HiddenSize;

    public override int Layers => Config.NumHiddenLayers;

    public override int MaxTokens => Config.MaxPositionEmbeddings;

    public override string TokenEmbedding(Weights w) => Embeddings(w)["word_embeddings"].OnHost(Config.VocabSize, EmbeddingSize, "vocab_size");

    public override string? PositionEmbedding(Weights w) =>
        Config.PositionBiasedInput ? Embeddings(w)["position_embeddings"].OnHost(Config.MaxPositionEmbeddings, Config.HiddenSize, "max_position_embeddings") : null;

    protected Tensor Embedded(Tensor embeddings, Weights w)
    {
        if (EmbeddingSize != HiddenSize)
            embeddings = embeddings.Linear(Embeddings(w)["embed_proj"], HiddenSize);
        return Normalised(embeddings, Embeddings(w), Config.TypeVocabSize, Config.LayerNormEps);
    }

    protected static Weights Encoder(Weights w) => Root(w, "deberta")["encoder"];

    static Weights Embeddings(Weights w) => Root(w, "deberta")["embeddings"];
}

/// <summary>DeBERTa (arXiv:2006.03654), the first version: microsoft/deberta-base to deberta-xlarge-mnli, which the ImageCLEF scorer uses.</summary>
/// <remarks>Reference: transformers, models/deberta.</remarks>
internal sealed class Deberta(DebertaConfig config) : DebertaFamily(config)
{
    public const string Type = "deberta";

    /// <summary>Distances beyond the run's length cannot occur, those beyond the table count as its last: on the left one more than on the right.</summary>
    public override Func<int, int, int>? RelativeRow => !Config.RelativeAttention ? null : (distance, length) =>
    {
        int span = Math.Min(length, Config.LargestDistance);
        return Config.LargestDistance + Math.Clamp(distance, -span, span - 1);
    };

    public override Tensor Hidden(Tensor embeddings, RelativeDistances? distances, Weights w, int layer)
    {
        var x = Embedded(embeddings, w);
        var relative = distances is null
            ? null
            : Encoder(w)["rel_embeddings"].Get(x.Graph, ".weight", [2L * Config.LargestDistance, HiddenSize], size: "2 * max_relative_positions")
                                          .Rows(distances.Rows).Reshape(1, -1, HiddenSize);                       // [1, S, D]
        for (int i = 0; i < layer; i++)
            x = Layer(x, relative, distances, Encoder(w)[$"layer.{i}"]);
        return x;
    }

    Tensor Layer(Tensor x, Tensor? relative, RelativeDistances? distances, Weights w)
    {
        var (attn, heads, headSize) = (w["attention.self"], Config.NumAttentionHeads, HiddenSize / Config.NumAttentionHeads);

        // One projection for all three, head by head: q, k and v of the first head, then of the second.
        var qkv = x.Linear(attn["in_proj"], 3 * HiddenSize, size: "3 * hidden_size").SplitHeads(heads).Split(headSize, headSize, headSize);
        var content = (qkv[0] + HeadBias(attn["q_bias"]), qkv[1], qkv[2] + HeadBias(attn["v_bias"]));

        var positionKeys = Config.HasContentToPosition ? relative!.Linear(attn["pos_proj"], HiddenSize).SplitHeads(heads) : null;
        var positionQueries = Config.HasPositionToContent ? relative!.Linear(attn["pos_q_proj"], HiddenSize, bias: true).SplitHeads(heads) : null;
        return AfterAttention(
            x, content.Disentangled(heads, positionKeys, positionQueries, distances), w, Config.IntermediateSize, Config.HiddenAct, Config.LayerNormEps);

        Tensor HeadBias(Weights bias) => bias.Get(x.Graph, "", [HiddenSize], @as: [1, heads, 1, headSize]);
    }
}
