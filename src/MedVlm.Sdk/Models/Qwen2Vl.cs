using MedVlm.Checkpoints;
using MedVlm.Graphs;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>config.json, the part that only Qwen2-VL has. Published fine-tunes leave keys out: the defaults are Qwen2VLVisionConfig's.</summary>
internal sealed record Qwen2VlConfig(Qwen2VlTower VisionConfig);

/// <summary>vision_config.</summary>
internal sealed record Qwen2VlTower(
    int Depth = 32, int EmbedDim = 1280, int NumHeads = 16, double MlpRatio = 4, string HiddenAct = "quick_gelu",
    int PatchSize = 14, int SpatialMergeSize = 2, int TemporalPatchSize = 2) : IQwenTower
{
    public int Width => EmbedDim;

    public int IntermediateSize => (int)(EmbedDim * MlpRatio);
}

/// <summary>Qwen2-VL: a vision tower for images of any size, with rotary embedding in two dimensions and full attention in each image.</summary>
/// <remarks>
/// Paper: "Qwen2-VL: Enhancing vision-language model's perception of the world at any resolution", arXiv:2409.12191. Reference:
/// transformers, models/qwen2_vl. The letters of the shapes are those of <see cref="QwenVl"/>.
/// </remarks>
internal sealed class Qwen2Vl : QwenVl
{
    readonly Qwen2VlTower _vision;

    public Qwen2Vl(Checkpoint checkpoint) : this(checkpoint, checkpoint.ReadJson("config.json", FamilyJson.Default.Qwen2VlConfig).VisionConfig) { }

    Qwen2Vl(Checkpoint checkpoint, Qwen2VlTower vision) : base(checkpoint, vision)
    {
        _vision = vision;
        Setting.Positive(vision.Depth);
        Setting.Positive(vision.IntermediateSize);
        Unsupported.Unless(vision.HiddenAct == "quick_gelu", "vision_config.hidden_act", vision.HiddenAct);
    }

    /// <summary>Patches of B images of one size [B, N, V] to image features [B, N/m², D].</summary>
    public override Tensor Vision(GraphBuilder graph, Weights w)
    {
        var tower = w["visual"];
        var (x, rotary) = PatchEmbedding(graph, tower["patch_embed"]);                                               // [B, N, C]
        for (int i = 0; i < _vision.Depth; i++)
            x = Block(x, tower[$"blocks.{i}"], rotary);

        return Merge(x.LayerNorm(tower["merger.ln_q"], TowerEpsilon), tower["merger.mlp"]);                          // [B, N/m², D]
    }

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> SharedVisionInputs { get; } = ["rotary_cos", "rotary_sin"];

    /// <summary>Pre-norm transformer block, each image on its own, [B, N, C] to [B, N, C].</summary>
    Tensor Block(Tensor x, Weights w, Rotary rotary)
    {
        int c = _vision.EmbedDim;
        var qkv = x.LayerNorm(w["norm1"], TowerEpsilon).Linear(w["attn.qkv"], 3 * c, bias: true).Split(c, c, c);
        x += Bidirectional(qkv[0].Rotate(rotary), qkv[1].Rotate(rotary), qkv[2], _vision.NumHeads).Linear(w["attn.proj"], c, bias: true);

        return x + x.LayerNorm(w["norm2"], TowerEpsilon)
                    .Linear(w["mlp.fc1"], _vision.IntermediateSize, bias: true).QuickGelu().Linear(w["mlp.fc2"], c, bias: true);
    }
}
