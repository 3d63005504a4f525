using System.Text.Json;
using MedVlm.Models;

namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>config.json of DeBERTa and DeBERTa-v2. A key without a default is required; a default is the reference's for a missing key.</summary>
/// <remarks>
/// max_relative_positions below 1: as many as max_position_embeddings. pos_att_type: the terms that attention has beside content to content,
/// "c2p|p2c" or a list. Of v2 alone: position_buckets (distances are rounded to so many, logarithmically when they are far; below 1: not),
/// norm_rel_ebd ("layer_norm" normalises the relative embeddings), share_att_key (relative embeddings go through the projections of the
/// content), conv_kernel_size (a convolution beside the first layer, in v2-xlarge and larger; 0: none).
/// </remarks>
internal sealed record DebertaConfig(
    int VocabSize, int HiddenSize, int NumHiddenLayers, int NumAttentionHeads, int IntermediateSize,
    int MaxPositionEmbeddings = 512, int TypeVocabSize = 0, float LayerNormEps = 1e-7f, string HiddenAct = "gelu",
    bool RelativeAttention = false, int MaxRelativePositions = -1, bool PositionBiasedInput = true, JsonElement? PosAttType = null,
    bool TalkingHead = false, int PositionBuckets = -1, string NormRelEbd = "none", bool ShareAttKey = false,
    int ConvKernelSize = 0, int ConvGroups = 1, string ConvAct = "tanh", int? EmbeddingSize = null, int? AttentionHeadSize = null)
{
    /// <summary>Distances that the table of relative embeddings knows to either side, before buckets.</summary>
    public int LargestDistance => MaxRelativePositions < 1 ? MaxPositionEmbeddings : MaxRelativePositions;

    public bool HasContentToPosition => RelativeAttention && Terms.Contains("c2p");

    public bool HasPositionToContent => RelativeAttention && Terms.Contains("p2c");

    /// <summary>The terms, in lower case, as the file gives them.</summary>
    public IReadOnlyList<string> Terms => PosAttType switch
    {
        { ValueKind: JsonValueKind.String } text => [.. text.GetString()!.ToLowerInvariant().Split('|').Select(term => term.Trim()).Where(term => term.Length > 0)],
        { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(term => term.ToString().ToLowerInvariant())],
        _ => [],
    };

    /// <summary>Sizes, and what would change the arithmetic.</summary>
    /// <param name="require">Refuses a setting.</param>
    public void Check(Action<bool, string, string> require)
    {
        if (EmbeddingSize is { } embedding)
            Setting.Positive(embedding, "embedding_size");
        if (RelativeAttention)
            Setting.Positive(LargestDistance, "max_relative_positions");
        if (PositionBuckets > 0)
            Setting.Positive(PositionBuckets, "position_buckets");
        require(TypeVocabSize is >= 0 and <= 1 << 20, "type_vocab_size", $"{TypeVocabSize}");
        require(!TalkingHead, "talking_head", "true");
        require(Terms.All(term => term is "c2p" or "p2c"), "pos_att_type", string.Join('|', Terms));
        require(AttentionHeadSize is null || AttentionHeadSize == HiddenSize / NumAttentionHeads, "attention_head_size", $"{AttentionHeadSize}");
        require(
            (EmbeddingSize ?? HiddenSize) == HiddenSize || !PositionBiasedInput && TypeVocabSize == 0, "embedding_size",
            $"{EmbeddingSize} beside hidden_size {HiddenSize} and learned positions or token types");
    }
}
