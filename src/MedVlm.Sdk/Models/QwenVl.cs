using System.Text.Json;
using System.Text.Json.Serialization;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Tokenizers;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>What Qwen2-VL and Qwen2.5-VL have in common of config.json. A key without a default is required; a default is the reference's.</summary>
internal sealed record QwenVlConfig(
    int HiddenSize, int IntermediateSize, int NumHiddenLayers, int NumAttentionHeads, int NumKeyValueHeads, int VocabSize,
    float RmsNormEps, double RopeTheta, QwenVlConfig.MRope RopeScaling, int ImageTokenId,
    [property: JsonConverter(typeof(GenerationConfig.OneOrMany))] int[]? EosTokenId = null,
    bool TieWordEmbeddings = false, string HiddenAct = "silu", bool UseSlidingWindow = false, JsonElement? RopeParameters = null)
{
    public int HeadSize => HiddenSize / NumAttentionHeads;

    /// <summary>How many angles of the rotary embedding turn with time, row and column. A file that was saved again calls the type "default".</summary>
    internal sealed record MRope(int[] MropeSection, string? Type = null, string? RopeType = null)
    {
        public string Kind => Type ?? RopeType ?? "mrope";
    }
}

/// <summary>Settings that the vision towers of both generations have, whatever config.json calls them.</summary>
internal interface IQwenTower
{
    /// <summary>C.</summary>
    int Width { get; }

    int NumHeads { get; }

    int PatchSize { get; }

    int SpatialMergeSize { get; }

    int TemporalPatchSize { get; }
}

/// <summary>
/// What Qwen2-VL and Qwen2.5-VL have in common: images of any size, prompt, positions in three dimensions, and the Qwen2 decoder.
/// Each generation's vision tower is a file of its own.
/// </summary>
/// <remarks>
/// Papers: arXiv:2409.12191 (Qwen2-VL), arXiv:2502.13923 (Qwen2.5-VL). Reference: transformers, models/qwen2_vl and models/qwen2_5_vl.
/// Letters of the shapes: B images of one size (vision) or captions (decoder), N patches of an image, V values of a patch,
/// m side of a block of patches that become one image feature (2), T tokens, C vision width, D text width, H heads, K key/value heads,
/// d head size.
/// </remarks>
internal abstract class QwenVl : ModelFamily
{
    /// <summary>Epsilon of the tower's norms, which config.json does not have.</summary>
    protected const float TowerEpsilon = 1e-6f;

    // Patches of one run, where it has more than one image: as many rows keep the matrix products busy (docs/performance.md).
    const int PatchesPerRun = 1024;

    // Base of the tower's rotary embedding, which config.json does not have.
    const double TowerTheta = 10_000;

    const string Start = "<|im_start|>", End = "<|im_end|>", VisionStart = "<|vision_start|>", VisionEnd = "<|vision_end|>", ImagePad = "<|image_pad|>";

    readonly QwenVlConfig _config;
    readonly IQwenTower _tower;
    readonly QwenImages _images;
    readonly RotarySpec _towerRotary;
    readonly Tokenizer _tokenizer;

    protected QwenVl(Checkpoint checkpoint, IQwenTower tower)
    {
        _config = checkpoint.ReadJson("config.json", FamilyJson.Default.QwenVlConfig);
        Check(_config, tower);
        _tower = tower;
        _images = new QwenImages(checkpoint.ReadJson("preprocessor_config.json", FamilyJson.Default.QwenProcessorConfig), tower);
        _tokenizer = Tokenizer.Load(checkpoint.PathOf("tokenizer.json"));
        foreach (var token in (string[])[Start, End, VisionStart, VisionEnd, ImagePad])
            Unsupported.Unless(_tokenizer.TokenId(token) is not null, "tokenizer.json", $"without the token {token}");

        // Half of a head's angles turn with the patch's row, half with its column.
        var frequencies = RotarySpec.Frequencies(tower.Width / tower.NumHeads / 2, TowerTheta);
        _towerRotary = new RotarySpec([.. frequencies, .. frequencies]) { AxisOfAngle = Axes([frequencies.Length, frequencies.Length]) };
        Rotary = new RotarySpec(RotarySpec.Frequencies(_config.HeadSize, _config.RopeTheta)) { AxisOfAngle = Axes(_config.RopeScaling.MropeSection) };
    }

    /// <summary>Sizes that graphs and buffers are made from, and settings that would change the arithmetic.</summary>
    static void Check(QwenVlConfig text, IQwenTower tower)
    {
        Setting.Positive(tower.Width);
        Setting.Positive(tower.NumHeads);
        Setting.Positive(tower.PatchSize);
        Setting.Positive(tower.SpatialMergeSize);
        Setting.Positive(tower.TemporalPatchSize);
        Setting.Divides(tower.Width, tower.NumHeads);
        Setting.Divides(tower.Width / tower.NumHeads, 4);
        Setting.Positive(text.HiddenSize);
        Setting.Positive(text.IntermediateSize);
        Setting.Positive(text.NumHiddenLayers);
        Setting.Positive(text.NumAttentionHeads);
        Setting.Positive(text.NumKeyValueHeads);
        Setting.Positive(text.VocabSize);
        Setting.Divides(text.HiddenSize, text.NumAttentionHeads);
        Setting.Divides(text.NumAttentionHeads, text.NumKeyValueHeads);
        Setting.Divides(text.HeadSize, 2);

        Unsupported.Unless(text.HiddenAct == "silu", "hidden_act", text.HiddenAct);
        Unsupported.Unless(!text.UseSlidingWindow, "use_sliding_window", "true");
        Unsupported.Unless(text.RopeParameters is null or { ValueKind: JsonValueKind.Null }, "rope_parameters", "set");
        Unsupported.Unless(text.RopeScaling.Kind is "mrope" or "default", "rope_scaling.type", text.RopeScaling.Kind);
        var section = text.RopeScaling.MropeSection;
        Unsupported.Unless(
            section.Length == 3 && section.All(angles => angles >= 0) && section.Sum(angles => (long)angles) == text.HeadSize / 2,
            "rope_scaling.mrope_section", $"[{string.Join(", ", section)}] with a head size of {text.HeadSize}");
    }

    /// <summary>[2, 3, 3] to [0, 0, 1, 1, 1, 2, 2, 2].</summary>
    static int[] Axes(int[] anglesOfAxis) => [.. anglesOfAxis.SelectMany((angles, axis) => Enumerable.Repeat(axis, angles))];

    // ---- Inputs ----

    /// <inheritdoc/>
    public override ModelInputs Prepare(IReadOnlyList<RgbImage> images, string instruction, CaptionOptions options)
    {
        PatchGrid[] grids = [.. images.Select(image => _images.Grid(image.Width, image.Height, options.ImageDetail))];

        var prompt = new PromptText().Template($"{Start}system\nYou are a helpful assistant.{End}\n{Start}user\n");
        foreach (var grid in grids)
            prompt.Template($"{VisionStart}{string.Concat(Enumerable.Repeat(ImagePad, grid.Features))}{VisionEnd}");
        var ids = prompt.User(instruction).Template($"{End}\n{Start}assistant\n").Encode(_tokenizer);
        return new ModelInputs(Runs(images, grids), ids, Positions(ids, grids));
    }

    /// <summary>The patches of an image of this size.</summary>
    internal PatchGrid Grid(int width, int height, ImageDetail detail) => _images.Grid(width, height, detail);

    /// <summary>
    /// Time, row and column of each token (M-RoPE): text counts on all three at once; an image stands still in time and spreads its
    /// features over rows and columns, and the text after it goes on beyond its longer side.
    /// </summary>
    internal PromptPositions Positions(ReadOnlySpan<int> ids, IEnumerable<PatchGrid> grids)
    {
        int[] time = new int[ids.Length], row = new int[ids.Length], column = new int[ids.Length];
        using var grid = grids.GetEnumerator();
        int next = 0;
        for (int t = 0; t < ids.Length;)
            if (IsPlaceholder(ids[t]) && grid.MoveNext())
            {
                var image = grid.Current;
                for (int i = 0; i < image.Features && t < ids.Length; i++, t++)
                    (time[t], row[t], column[t]) = (next, next + i / image.FeatureColumns, next + i % image.FeatureColumns);
                next += Math.Max(image.FeatureRows, image.FeatureColumns);
            }
            else
            {
                time[t] = row[t] = column[t] = next++;
                t++;
            }
        return new PromptPositions([time, row, column], next);
    }

    /// <summary>Neighbouring images of one grid run together.</summary>
    List<VisionRun> Runs(IReadOnlyList<RgbImage> images, PatchGrid[] grids) => VisionRun.MakeAll(runs =>
    {
        for (int first = 0, count; first < grids.Length; first += count)
        {
            var grid = grids[first];
            count = grids.Skip(first).Take(Math.Max(1, PatchesPerRun / grid.Patches)).TakeWhile(next => next == grid).Count();
            runs.Add(Run([.. images.Skip(first).Take(count)], grid));
        }
    });

    VisionRun Run(RgbImage[] images, PatchGrid grid)
    {
        int count = images.Length, image = grid.Patches * _images.PatchValues;
        var pixels = Pixels.Copy([.. images.Select(one => _images.Resize(one, grid))]);
        void Fill(Span<float> values)
        {
            var all = pixels.Pixels;
            for (int i = 0; i < count; i++)
                _images.Fill(all.Slice(i * (all.Length / count), all.Length / count), grid, values.Slice(i * image, image));
        }

        var (cos, sin) = (new float[grid.Patches * _towerRotary.Angles], new float[grid.Patches * _towerRotary.Angles]);
        int[][] places = [[.. grid.InFeatureOrder().Select(patch => patch.Row)], [.. grid.InFeatureOrder().Select(patch => patch.Column)]];
        _towerRotary.Fill(new PromptPositions(places, 0), 0, cos, sin);

        var inputs = new Dictionary<string, HostTensor>
        {
            [VisionRun.Pixels] = new([count, grid.Patches, _images.PatchValues], Fill, pixels),
            ["rotary_cos"] = new(cos, [grid.Patches, _towerRotary.Angles]),
            ["rotary_sin"] = new(sin, [grid.Patches, _towerRotary.Angles]),
            ["rotary_rows"] = new(
                Enumerable.Range(0, images.Length * grid.Patches).Select(patch => (long)patch % grid.Patches).ToArray(), [images.Length, grid.Patches]),
        };
        AddInputs(inputs, grid, images.Length);
        return new VisionRun(inputs, images.Length * grid.Features);
    }

    /// <summary>Adds what only this generation's tower asks for.</summary>
    protected virtual void AddInputs(Dictionary<string, HostTensor> inputs, PatchGrid grid, int images) { }

    // ---- Vision: what comes before and after the tower's blocks ----

    /// <summary>Pixels of the patches to their embeddings [B, N, C], and the rotary embedding of their rows and columns.</summary>
    protected (Tensor Patches, Rotary Rotary) PatchEmbedding(GraphBuilder graph, Weights w)
    {
        var pixels = graph.Input(VisionRun.Pixels, ElementType.Float32, "B", "N", _images.PatchValues);                // [B, N, V]
        var rotary = new Rotary(
            graph.Input("rotary_cos", ElementType.Float32, "N", _towerRotary.Angles),
            graph.Input("rotary_sin", ElementType.Float32, "N", _towerRotary.Angles),
            graph.Input("rotary_rows", ElementType.Int64, "B", "N"));
        return (pixels.PatchProjection(w["proj"], _tower.Width, RgbImage.Channels, _tower.TemporalPatchSize, _tower.PatchSize, _tower.PatchSize), rotary);
    }

    /// <summary>Normalised patches [B, N, C] to image features [B, N/m², D]: the patches of a block are neighbours in this order.</summary>
    protected Tensor Merge(Tensor patches, Weights w)
    {
        int block = _tower.Width * _tower.SpatialMergeSize * _tower.SpatialMergeSize;
        return patches.Reshape(0, -1, block)                                                                         // [B, N/m², C·m²]
                      .Linear(w["0"], block, bias: true).Gelu().Linear(w["2"], _config.HiddenSize, bias: true);
    }

    // ---- Decoder: Qwen2 ----

    /// <inheritdoc/>
    public override Tensor Decoder(DecoderInputs input, Weights w)
    {
        var x = input.Embeddings;
        for (int i = 0; i < _config.NumHiddenLayers; i++)
            x = DecoderLayer(x, w[$"model.layers.{i}"], input, input.KvCache[i]);

        var head = _config.TieWordEmbeddings ? w["model.embed_tokens"] : w["lm_head"];
        return x.LastToken(input.LastTokens).RmsNorm(w["model.norm"], _config.RmsNormEps).Linear(head, _config.VocabSize);
    }

    /// <summary>Grouped-query attention with biases on q, k and v, and SwiGLU, both pre-norm, [B, T, D] to [B, T, D].</summary>
    Tensor DecoderLayer(Tensor x, Weights w, DecoderInputs input, KvCacheLayer cache)
    {
        var c = _config;
        var (h, attn) = (x.RmsNorm(w["input_layernorm"], c.RmsNormEps), w["self_attn"]);
        var q = h.Linear(attn["q_proj"], c.NumAttentionHeads * c.HeadSize, bias: true).Rotate(input.Rotary);         // [B, T, H·d]
        var k = h.Linear(attn["k_proj"], c.NumKeyValueHeads * c.HeadSize, bias: true).Rotate(input.Rotary);          // [B, T, K·d]
        var v = h.Linear(attn["v_proj"], c.NumKeyValueHeads * c.HeadSize, bias: true);                               // [B, T, K·d]
        x += Causal(q, k, v, cache, input.Lengths, c.NumAttentionHeads, c.NumKeyValueHeads).Linear(attn["o_proj"], c.HiddenSize);

        return x + x.RmsNorm(w["post_attention_layernorm"], c.RmsNormEps).SwiGlu(w["mlp"], c.IntermediateSize);
    }

    /// <inheritdoc/>
    public override DecoderShape Shape =>
        new(_config.NumHiddenLayers, _config.VocabSize, _config.HiddenSize, _config.NumKeyValueHeads, _config.HeadSize);

    /// <inheritdoc/>
    public override RotarySpec Rotary { get; }

    /// <inheritdoc/>
    public override Tokenizer Tokenizer => _tokenizer;

    /// <inheritdoc/>
    public override string? TiedHead => _config.TieWordEmbeddings ? "lm_head.weight" : null;

    /// <inheritdoc/>
    public override bool IsPlaceholder(int tokenId) => tokenId == _config.ImageTokenId;

    /// <inheritdoc/>
    public override IReadOnlyList<int> StopTokenIds(GenerationConfig generation) =>
        generation.EosTokenId ?? _config.EosTokenId ?? [_tokenizer.TokenId(End)!.Value];

    /// <summary>From transformers 4.52 on, adapters call the decoder <c>model.language_model</c> and the tower <c>model.visual</c>.</summary>
    public override IReadOnlyList<string> ModuleNames(string module) =>
        module.StartsWith("visual.", StringComparison.Ordinal) ? [module, $"model.{module}"]
        : module.StartsWith("model.", StringComparison.Ordinal) ? [module, $"model.language_model.{module["model.".Length..]}"]
        : [module];

    /// <inheritdoc/>
    public override Weights TokenEmbedding(Weights w) => w["model.embed_tokens"];
}
