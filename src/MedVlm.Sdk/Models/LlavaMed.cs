using System.Text.Json;
using System.Text.Json.Serialization;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Tokenizers;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>config.json. A key without a default is required; a default is the reference's for a missing key.</summary>
internal sealed record LlavaMedConfig(
    int HiddenSize, int IntermediateSize, int NumHiddenLayers, int NumAttentionHeads, int VocabSize, int MmVisionSelectLayer,
    string MmVisionTower, int NumKeyValueHeads = 8, float RmsNormEps = 1e-6f,
    [property: JsonPropertyName("rope_theta")] double? Theta = null, RopeParameters? RopeParameters = null, int? SlidingWindow = 4096,
    bool TieWordEmbeddings = false, string HiddenAct = "silu", JsonElement? RopeScaling = null, string MmProjectorType = "linear",
    string MmVisionSelectFeature = "patch", string? ImageAspectRatio = null, bool MmUseImStartEnd = false, bool MmUseImPatchToken = true,
    int? TokenizerModelMaxLength = null)
{
    public int HeadSize => HiddenSize / NumAttentionHeads;

    [JsonIgnore]
    public double RopeTheta => RopeParameters?.RopeTheta ?? Theta ?? 10_000;
}

/// <summary>LLaVA-Med v1.5: CLIP vision tower, two-layer projector, Mistral decoder.</summary>
/// <remarks>
/// Paper: "LLaVA-Med: Training a Large Language-and-Vision Assistant for Biomedicine in One Day", arXiv:2306.00890. Reference: the authors'
/// code, microsoft/LLaVA-Med. Letters of the shapes: B images (vision) or captions (decoder), S side of an image in pixels, P patches,
/// C vision width, T tokens, D text width, H heads, K key/value heads, d head size.
/// </remarks>
internal sealed class LlavaMed : ModelFamily
{
    // The id that the reference puts where the image belongs; it is no token.
    const int ImageToken = -200;
    const string Image = "<image>", EndOfSequence = "</s>";
    const string Tower = "model.vision_tower.vision_tower.vision_model.";

    readonly LlavaMedConfig _config;
    readonly Tokenizer _tokenizer;
    readonly ClipTower _tower;
    readonly IReadOnlyDictionary<string, StoredTensor>? _tensors;

    public LlavaMed(ModelSource source)
        : this(
            source.Checkpoint.ReadJson("config.json", FamilyJson.Default.LlavaMedConfig),
            // The reference loads the SentencePiece model; a tokenizer.json beside it is a conversion of it.
            Tokenizer.Load(source.Checkpoint.PathOf(source.Checkpoint.Has(SentencePieceFile.FileName) ? SentencePieceFile.FileName : "tokenizer.json")),
            source)
    {
    }

    LlavaMed(LlavaMedConfig config, Tokenizer tokenizer, ModelSource source) : this(config, tokenizer, WithTower(source, config.MmVisionTower)) { }

    LlavaMed(LlavaMedConfig config, Tokenizer tokenizer, IReadOnlyDictionary<string, StoredTensor> tensors)
        : this(config, tokenizer, ClipTower.Read(name => tensors.GetValueOrDefault(Tower + name)?.Shape)) => _tensors = tensors;

    /// <summary>The family without weights.</summary>
    internal LlavaMed(LlavaMedConfig config, Tokenizer tokenizer, ClipTower tower)
    {
        (_config, _tokenizer, _tower) = (config, tokenizer, tower);
        Check(config, tower);
        Unsupported.Unless(tokenizer.TokenId(EndOfSequence) is not null, "The tokenizer", $"without the token {EndOfSequence}");
        Unsupported.Unless(tokenizer.Start.Count == 1, "The tokenizer", "without a token that begins a text");
    }

    /// <summary>The sizes that graphs and buffers are made from, and the settings that change what they compute.</summary>
    static void Check(LlavaMedConfig config, ClipTower tower)
    {
        Setting.Positive(config.HiddenSize);
        Setting.Positive(config.IntermediateSize);
        Setting.Positive(config.NumHiddenLayers);
        Setting.Positive(config.NumAttentionHeads);
        Setting.Positive(config.NumKeyValueHeads);
        Setting.Positive(config.VocabSize);
        Setting.Divides(config.HiddenSize, config.NumAttentionHeads);
        Setting.Divides(config.NumAttentionHeads, config.NumKeyValueHeads);
        Setting.Divides(config.HeadSize, 2);
        if (config.SlidingWindow is { } slidingWindow)
            Setting.Positive(slidingWindow);

        Unsupported.Unless(config.HiddenAct == "silu", "hidden_act", config.HiddenAct);
        Unsupported.Unless(config.RopeScaling is null or { ValueKind: JsonValueKind.Null }, "rope_scaling", "set");
        RopeParameters.Check(config.RopeParameters, "");
        Unsupported.Unless(config.MmProjectorType == "mlp2x_gelu", "mm_projector_type", config.MmProjectorType);
        Unsupported.Unless(config.MmVisionSelectFeature == "patch", "mm_vision_select_feature", config.MmVisionSelectFeature);
        Unsupported.Unless(config.ImageAspectRatio == "pad", "image_aspect_ratio", config.ImageAspectRatio ?? "not set");
        Unsupported.Unless(!config.MmUseImStartEnd, "mm_use_im_start_end", "true");
        Unsupported.Unless(!config.MmUseImPatchToken, "mm_use_im_patch_token", "true");
        Unsupported.Unless(
            tower.LayersFor(config.MmVisionSelectLayer) is var layers && layers >= 1 && layers <= tower.Layers, "mm_vision_select_layer",
            $"{config.MmVisionSelectLayer} of {tower.Layers} layers");
        Unsupported.Unless(
            config.TokenizerModelMaxLength is null || config.TokenizerModelMaxLength > tower.Patches, "tokenizer_model_max_length",
            $"{config.TokenizerModelMaxLength}, less than the tokens of an image");
    }

    /// <summary>The checkpoint's tensors, with a separate tower's under the names that a tower inside has.</summary>
    static IReadOnlyDictionary<string, StoredTensor> WithTower(ModelSource source, string named)
    {
        var own = source.Checkpoint.Tensors;
        if (source.VisionTower is null && own.Keys.Any(name => name.StartsWith(Tower, StringComparison.Ordinal)))
            return own;

        var tensors = own.Where(tensor => !tensor.Key.StartsWith(Tower, StringComparison.Ordinal)).ToDictionary();
        foreach (var (name, tensor) in ClipCheckpoint.Open(source, named))
            tensors.Add(Tower + name, tensor);
        return tensors;
    }

    /// <summary>The vision tower's sizes.</summary>
    internal ClipTower VisionTower => _tower;

    // ---- Inputs ----

    /// <inheritdoc/>
    public override ModelInputs Prepare(IReadOnlyList<RgbImage> images, string instruction, CaptionOptions options)
    {
        if (images.Count != 1)
            throw new ImageException($"LLaVA-Med takes one image at a time, not {images.Count}: ask for each image alone.");

        // The "mistral_instruct" conversation. Each side of the image is encoded as a text of its own; only the first begins a text.
        int[] before = [.. _tokenizer.Start, .. new PromptText().Template("[INST] ").Encode(_tokenizer)];
        var after = new PromptText().Template("\n").User(instruction.Replace(Image, "", StringComparison.Ordinal).Trim()).Template(" [/INST]").Encode(_tokenizer);
        int[] prompt = [.. before, .. Enumerable.Repeat(ImageToken, _tower.Patches), .. after];

        // The reference cuts a longer prompt off, wherever that is.
        return new ModelInputs([Run(images[0])], prompt[..Math.Min(prompt.Length, _config.TokenizerModelMaxLength ?? int.MaxValue)]);
    }

    VisionRun Run(RgbImage image)
    {
        int side = _tower.ImageSize;
        var pixels = Pixels.Copy([SquarePadding.Resize(image, side, MeanColour, Resample.Bicubic)]);
        return new VisionRun(
            new Dictionary<string, HostTensor>
            {
                [VisionRun.Pixels] = new(
                    [1, 3, side, side], values => PixelValues.ChannelsFirst(pixels.Pixels, tiles: 1, 1 / 255.0, ClipTower.Mean, ClipTower.Std, values), pixels),
                ["class_rows"] = new(new long[1], [1, 1]),
                ["feature_rows"] = new(Enumerable.Range(1, _tower.Patches).Select(row => (long)row).ToArray(), [1, _tower.Patches]),
            },
            _tower.Patches);
    }

    /// <summary>The colour of the padding: CLIP's mean, cut to whole levels.</summary>
    static (byte R, byte G, byte B) MeanColour =>
        ((byte)(ClipTower.Mean[0] * 255), (byte)(ClipTower.Mean[1] * 255), (byte)(ClipTower.Mean[2] * 255));

    // ---- Vision: CLIP tower and projector ----

    /// <summary>Images [B, 3, S, S] to image features [B, P, D].</summary>
    public override Tensor Vision(GraphBuilder graph, Weights w)
    {
        var pixels = graph.Input(VisionRun.Pixels, ElementType.Float32, "B", 3, _tower.ImageSize, _tower.ImageSize);
        var classRows = graph.Input("class_rows", ElementType.Int64, "B", 1);
        var patches = graph.Input("feature_rows", ElementType.Int64, "B", _tower.Patches);                        // all but the class token

        var projector = w["model.mm_projector"];
        return _tower.Features(pixels, classRows, w[Tower[..^1]], _tower.LayersFor(_config.MmVisionSelectLayer))   // [B, 1 + P, C]
            .Rows(patches)                                                                                         // [B, P, C]
            .Linear(projector["0"], _config.HiddenSize, bias: true).Gelu().Linear(projector["2"], _config.HiddenSize, bias: true);
    }

    // ---- Decoder: Mistral ----

    /// <inheritdoc/>
    public override Tensor Decoder(DecoderInputs input, Weights w)
    {
        var x = input.Embeddings;
        for (int i = 0; i < _config.NumHiddenLayers; i++)
            x = DecoderLayer(x, w[$"model.layers.{i}"], input, input.KvCache[i]);

        return Head(x.LastToken(input.LastTokens), w);
    }

    /// <summary>Hidden states of last tokens [B, D] to logits [B, vocab].</summary>
    internal Tensor Head(Tensor x, Weights w) => x
        .RmsNorm(w["model.norm"], _config.RmsNormEps)
        .Linear(_config.TieWordEmbeddings ? w["model.embed_tokens"] : w["lm_head"], _config.VocabSize);

    /// <summary>Grouped-query attention, within a sliding window if there is one, and SwiGLU, both pre-norm, [B, T, D] to [B, T, D].</summary>
    internal Tensor DecoderLayer(Tensor x, Weights w, DecoderInputs input, KvCacheLayer cache)
    {
        var c = _config;
        var (h, attn) = (x.RmsNorm(w["input_layernorm"], c.RmsNormEps), w["self_attn"]);
        var q = h.Linear(attn["q_proj"], c.NumAttentionHeads * c.HeadSize).Rotate(input.Rotary);                   // [B, T, H·d]
        var k = h.Linear(attn["k_proj"], c.NumKeyValueHeads * c.HeadSize).Rotate(input.Rotary);                    // [B, T, K·d]
        var v = h.Linear(attn["v_proj"], c.NumKeyValueHeads * c.HeadSize);                                         // [B, T, K·d]
        x += Causal(q, k, v, cache, input.Lengths, c.NumAttentionHeads, c.NumKeyValueHeads, c.SlidingWindow).Linear(attn["o_proj"], c.HiddenSize);

        return x + x.RmsNorm(w["post_attention_layernorm"], c.RmsNormEps).SwiGlu(w["mlp"], c.IntermediateSize);
    }

    /// <inheritdoc/>
    public override DecoderShape Shape => new(
        _config.NumHiddenLayers, _config.VocabSize, _config.HiddenSize, _config.NumKeyValueHeads, _config.HeadSize);

    /// <inheritdoc/>
    public override RotarySpec? Rotary => RotarySpec.Standard(_config.HeadSize, _config.RopeTheta);

    /// <inheritdoc/>
    public override Tokenizer Tokenizer => _tokenizer;

    /// <inheritdoc/>
    public override IReadOnlyList<int> StopTokenIds(GenerationConfig generation) =>
        generation.EosTokenId ?? [_tokenizer.TokenId(EndOfSequence)!.Value];

    /// <inheritdoc/>
    public override Weights TokenEmbedding(Weights w) => w["model.embed_tokens"];

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, StoredTensor> Tensors(Checkpoint checkpoint) => _tensors ?? checkpoint.Tensors;

    /// <inheritdoc/>
    public override string? TiedHead => _config.TieWordEmbeddings ? "lm_head.weight" : null;

    /// <summary>The tower's last layers and norm, which lie behind the output that is read.</summary>
    public override bool Ignores(string tensor) =>
        tensor.StartsWith(Tower, StringComparison.Ordinal) && _tower.Ignores(tensor[Tower.Length..], _tower.LayersFor(_config.MmVisionSelectLayer));
}
