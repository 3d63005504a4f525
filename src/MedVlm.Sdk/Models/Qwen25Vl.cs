using MedVlm.Checkpoints;
using MedVlm.Graphs;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>config.json, the part that only Qwen2.5-VL has. The defaults are Qwen2_5_VLVisionConfig's.</summary>
internal sealed record Qwen25VlConfig(Qwen25VlTower VisionConfig);

/// <summary>vision_config.</summary>
internal sealed record Qwen25VlTower(
    int Depth = 32, int HiddenSize = 1280, int IntermediateSize = 3420, int NumHeads = 16, string HiddenAct = "silu",
    int PatchSize = 14, int SpatialMergeSize = 2, int TemporalPatchSize = 2, int WindowSize = 112, int[]? FullattBlockIndexes = null)
    : IQwenTower
{
    public int Width => HiddenSize;

    /// <summary>Side of a window in image features.</summary>
    public int WindowFeatures => WindowSize / SpatialMergeSize / PatchSize;

    /// <summary>Whether a block sees the whole image rather than a window.</summary>
    public bool SeesAll(int block) => (FullattBlockIndexes ?? [7, 15, 23, 31]).Contains(block);
}

/// <summary>Qwen2.5-VL: a vision tower whose blocks attend in windows, and a few over the whole image, so that a large image costs less.</summary>
/// <remarks>
/// Paper: "Qwen2.5-VL technical report", arXiv:2502.13923. Reference: transformers, models/qwen2_5_vl. The letters of the shapes are those
/// of <see cref="QwenVl"/>; W windows of all images of a run, L patches of the largest window.
/// <para>
/// The reference puts the patches into window order before the first block and back after the last. Here they stay where they are, and
/// each attention in windows gathers its own: ragged windows are filled up with patches that the lengths tell it not to see.
/// </para>
/// </remarks>
internal sealed class Qwen25Vl : QwenVl
{
    readonly Qwen25VlTower _vision;

    public Qwen25Vl(Checkpoint checkpoint) : this(checkpoint, checkpoint.ReadJson("config.json", FamilyJson.Default.Qwen25VlConfig).VisionConfig) { }

    Qwen25Vl(Checkpoint checkpoint, Qwen25VlTower vision) : base(checkpoint, vision)
    {
        _vision = vision;
        Setting.Positive(vision.Depth);
        Setting.Positive(vision.IntermediateSize);
        Setting.Positive(vision.WindowSize);
        Unsupported.Unless(vision.WindowFeatures > 0, "vision_config.window_size", $"{vision.WindowSize}, less than one image feature");
        Unsupported.Unless(vision.HiddenAct == "silu", "vision_config.hidden_act", vision.HiddenAct);
    }

    /// <summary>Which patches a window holds, where each patch is found again, and how many patches of a window are not filling.</summary>
    /// <param name="Patches">int64 [W, L]: places in [B·N].</param>
    /// <param name="Rotary">The rotary embedding of the same patches.</param>
    /// <param name="Lengths">int32 [W].</param>
    /// <param name="Places">int64 [B, N]: places in [W·L].</param>
    sealed record Windows(Tensor Patches, Rotary Rotary, Tensor Lengths, Tensor Places);

    /// <inheritdoc/>
    protected override void AddInputs(Dictionary<string, HostTensor> inputs, PatchGrid grid, int images)
    {
        var windows = WindowsOf(grid);
        int longest = windows.Max(window => window.Count), all = images * windows.Count;
        long[] patches = new long[all * longest], rotaryRows = new long[all * longest], places = new long[images * grid.Patches];
        int[] lengths = new int[all];
        for (int w = 0; w < all; w++)
        {
            var window = windows[w % windows.Count];
            int image = w / windows.Count * grid.Patches;
            lengths[w] = window.Count;
            for (int i = 0; i < window.Count; i++)
            {
                (patches[w * longest + i], rotaryRows[w * longest + i]) = (image + window[i], window[i]);
                places[image + window[i]] = w * longest + i;
            }
        }

        inputs["window_patches"] = new(patches, [all, longest]);
        inputs["window_rotary_rows"] = new(rotaryRows, [all, longest]);
        inputs["window_lengths"] = new(lengths, [all]);
        inputs["window_places"] = new(places, [images, grid.Patches]);
    }

    /// <summary>The patches of each window, from the upper left; the windows at the right and lower edge may be smaller.</summary>
    internal List<List<int>> WindowsOf(PatchGrid grid)
    {
        int side = _vision.WindowFeatures, block = grid.MergeSize * grid.MergeSize;
        var windows = new List<List<int>>();
        for (int top = 0; top < grid.FeatureRows; top += side)
            for (int left = 0; left < grid.FeatureColumns; left += side)
            {
                var patches = new List<int>();
                for (int row = top; row < Math.Min(top + side, grid.FeatureRows); row++)
                    for (int column = left; column < Math.Min(left + side, grid.FeatureColumns); column++)
                        patches.AddRange(Enumerable.Range((row * grid.FeatureColumns + column) * block, block));
                windows.Add(patches);
            }
        return windows;
    }

    /// <summary>Patches of B images of one size [B, N, V] to image features [B, N/m², D].</summary>
    public override Tensor Vision(GraphBuilder graph, Weights w)
    {
        var tower = w["visual"];
        var (patches, rotary) = PatchEmbedding(graph, tower["patch_embed"]);
        var x = patches.Widen();   // in the last blocks beyond FP16                                                 // [B, N, C]
        var windows = new Windows(
            graph.Input("window_patches", ElementType.Int64, "W", "L"),
            rotary with { Rows = graph.Input("window_rotary_rows", ElementType.Int64, "W", "L") },
            graph.Input("window_lengths", ElementType.Int32, "W"),
            graph.Input("window_places", ElementType.Int64, "B", "N"));
        for (int i = 0; i < _vision.Depth; i++)
            x = Block(x, tower[$"blocks.{i}"], rotary, _vision.SeesAll(i) ? null : windows);

        return Merge(x.RmsNormOfWide(tower["merger.ln_q"], TowerEpsilon), tower["merger.mlp"]);                      // [B, N/m², D]
    }

    /// <summary>Pre-norm transformer block, in windows or, without them, over each whole image, [B, N, C] to [B, N, C].</summary>
    Tensor Block(Tensor x, Weights w, Rotary rotary, Windows? windows)
    {
        int c = _vision.HiddenSize;
        var qkv = x.RmsNormOfWide(w["norm1"], TowerEpsilon).Linear(w["attn.qkv"], 3 * c, bias: true);                // [B, N, 3·C]
        var seen = windows is null
            ? Attend(qkv, rotary, lengths: null)
            : Attend(qkv.Rows(windows.Patches), windows.Rotary, windows.Lengths).Rows(windows.Places);               // [W, L, C], [B, N, C]
        x += seen.Linear(w["attn.proj"], c, bias: true).Widen();

        return x + x.RmsNormOfWide(w["norm2"], TowerEpsilon).WideSwiGlu(w["mlp"], _vision.IntermediateSize);
    }

    Tensor Attend(Tensor qkv, Rotary rotary, Tensor? lengths)
    {
        int c = _vision.HiddenSize;
        var parts = qkv.Split(c, c, c);
        return Bidirectional(parts[0].Rotate(rotary), parts[1].Rotate(rotary), parts[2], _vision.NumHeads, lengths);
    }
}
