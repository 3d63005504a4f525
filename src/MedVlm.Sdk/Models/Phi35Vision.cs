using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Tokenizers;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>config.json. A key without a default is required; a default is the reference's for a missing key.</summary>
internal sealed record Phi35VisionConfig(
    int HiddenSize, int IntermediateSize, int NumHiddenLayers, int NumAttentionHeads, int VocabSize, Phi35Rope RopeScaling,
    Phi35ImageEmbedding EmbdLayer, Phi35ImageProcessor ImgProcessor, int? NumKeyValueHeads = null, int MaxPositionEmbeddings = 4096,
    int OriginalMaxPositionEmbeddings = 4096, float RmsNormEps = 1e-5f, double RopeTheta = 10_000, int? SlidingWindow = null,
    bool TieWordEmbeddings = false, string HiddenAct = "silu")
{
    public int HeadSize => HiddenSize / NumAttentionHeads;

    public int KeyValueHeads => NumKeyValueHeads ?? NumAttentionHeads;
}

/// <summary>Factors on the wavelengths of the rotary embedding (LongRoPE, arXiv:2402.13753), for short and for long sequences.</summary>
internal sealed record Phi35Rope(string Type, float[] ShortFactor, float[] LongFactor);

internal sealed record Phi35ImageEmbedding(
    string EmbeddingCls = "image", string HdTransformOrder = "glb_sub", string ProjectionCls = "linear", bool UseHdTransform = false,
    bool WithLearnableSeparator = false);

internal sealed record Phi35ImageProcessor(int NumImgTokens, int LayerIdx = ClipTower.SelectLayer, string TypeFeature = "patch");

/// <summary>preprocessor_config.json.</summary>
internal sealed record Phi35VisionProcessorConfig(float[] ImageMean, float[] ImageStd, int NumImgTokens, int NumCrops = 1);

/// <summary>Phi-3.5-Vision: CLIP vision tower over crops, newline embeddings, two-layer projector, Phi-3 decoder with LongRoPE.</summary>
/// <remarks>
/// Paper: "Phi-3 Technical Report", arXiv:2404.14219; the cutting is InternLM-XComposer2-4KHD's HD transform, arXiv:2404.06512. Reference: the
/// model's own code on the hub. Letters of the shapes: B crops (vision) or captions (decoder), S side of a crop in pixels, P patches of a
/// crop, C vision width, F image features, T tokens, D text width, H heads, K key/value heads, d head size.
/// </remarks>
internal sealed class Phi35Vision : ModelFamily
{
    const string User = "<|user|>", Assistant = "<|assistant|>", End = "<|end|>", EndOfText = "<|endoftext|>", EndOfSequence = "</s>";
    const string Embedding = "model.vision_embed_tokens", Tower = Embedding + ".img_processor.vision_model.";

    // Neighbouring patches that become one feature: 2x2.
    const int Merge = 2, Merged = Merge * Merge;

    readonly Phi35VisionConfig _config;
    readonly Phi35VisionProcessorConfig _processor;
    readonly Tokenizer _tokenizer;
    readonly ClipTower _tower;
    readonly RotarySpec _rotary;

    public Phi35Vision(Checkpoint checkpoint)
        : this(
            checkpoint.ReadJson("config.json", FamilyJson.Default.Phi35VisionConfig),
            checkpoint.ReadJson("preprocessor_config.json", FamilyJson.Default.Phi35VisionProcessorConfig),
            Tokenizer.Load(checkpoint.PathOf("tokenizer.json")),
            ClipTower.Read(name => checkpoint.Tensors.GetValueOrDefault(Tower + name)?.Shape))
    {
    }

    /// <summary>The family without weights.</summary>
    internal Phi35Vision(Phi35VisionConfig config, Phi35VisionProcessorConfig processor, Tokenizer tokenizer, ClipTower tower)
    {
        (_config, _processor, _tokenizer, _tower) = (config, processor, tokenizer, tower);
        Check(config, processor, tower);
        foreach (var token in (string[])[User, Assistant, End, EndOfText, EndOfSequence])
            Unsupported.Unless(tokenizer.TokenId(token) is not null, "tokenizer.json", $"without the token {token}");
        _rotary = LongRope(config);
    }

    /// <summary>The sizes that graphs and buffers are made from, and the settings that change what they compute.</summary>
    static void Check(Phi35VisionConfig config, Phi35VisionProcessorConfig processor, ClipTower tower)
    {
        Setting.Positive(config.HiddenSize);
        Setting.Positive(config.IntermediateSize);
        Setting.Positive(config.NumHiddenLayers);
        Setting.Positive(config.NumAttentionHeads);
        Setting.Positive(config.KeyValueHeads);
        Setting.Positive(config.VocabSize);
        Setting.Positive(config.MaxPositionEmbeddings);
        Setting.Positive(config.OriginalMaxPositionEmbeddings);
        Setting.Positive(processor.NumCrops);
        Setting.Divides(config.HiddenSize, config.NumAttentionHeads);
        Setting.Divides(config.NumAttentionHeads, config.KeyValueHeads);
        Setting.Divides(config.HeadSize, 2);
        Setting.Divides(tower.PatchesPerSide, Merge);
        Setting.Same(processor.NumImgTokens, config.ImgProcessor.NumImgTokens);
        Setting.Same(processor.NumImgTokens, tower.Patches / Merged);
        if (config.SlidingWindow is { } slidingWindow)
            Setting.Positive(slidingWindow);

        var (layer, image) = (config.EmbdLayer, config.ImgProcessor);
        Unsupported.Unless(config.HiddenAct == "silu", "hidden_act", config.HiddenAct);
        Unsupported.Unless(config.RopeScaling.Type is "su" or "longrope", "rope_scaling.type", config.RopeScaling.Type);
        Unsupported.Unless(layer.EmbeddingCls == "image", "embd_layer.embedding_cls", layer.EmbeddingCls);
        Unsupported.Unless(layer.HdTransformOrder == "sub_glb", "embd_layer.hd_transform_order", layer.HdTransformOrder);
        Unsupported.Unless(layer.ProjectionCls == "mlp", "embd_layer.projection_cls", layer.ProjectionCls);
        Unsupported.Unless(layer.UseHdTransform, "embd_layer.use_hd_transform", "false");
        Unsupported.Unless(layer.WithLearnableSeparator, "embd_layer.with_learnable_separator", "false");
        Unsupported.Unless(image.TypeFeature == "patch", "img_processor.type_feature", image.TypeFeature);
        Unsupported.Unless(
            tower.LayersFor(image.LayerIdx) is var layers && layers >= 1 && layers <= tower.Layers, "img_processor.layer_idx",
            $"{image.LayerIdx} of {tower.Layers} layers");
        Unsupported.Unless(processor is { ImageMean.Length: 3, ImageStd.Length: 3 }, "image_mean or image_std", "not of three values");
        int angles = config.HeadSize / 2;
        Unsupported.Unless(
            config.RopeScaling.ShortFactor.Length == angles && config.RopeScaling.LongFactor.Length == angles, "rope_scaling",
            $"of {config.RopeScaling.ShortFactor.Length} and {config.RopeScaling.LongFactor.Length} factors for {angles} angles");
    }

    /// <summary>Wavelengths of short and long sequences; cos and sin of both grow with what the context was extended by.</summary>
    static RotarySpec LongRope(Phi35VisionConfig config)
    {
        double extended = (double)config.MaxPositionEmbeddings / config.OriginalMaxPositionEmbeddings;
        return new RotarySpec(RotarySpec.Frequencies(config.HeadSize, config.RopeTheta, config.RopeScaling.ShortFactor))
        {
            LongFrequencies = RotarySpec.Frequencies(config.HeadSize, config.RopeTheta, config.RopeScaling.LongFactor),
            SwitchLength = config.OriginalMaxPositionEmbeddings,
            Scale = extended <= 1 ? 1 : (float)Math.Sqrt(1 + Math.Log(extended) / Math.Log(config.OriginalMaxPositionEmbeddings)),
        };
    }

    // ---- Inputs ----

    /// <inheritdoc/>
    public override ModelInputs Prepare(IReadOnlyList<RgbImage> images, string instruction, CaptionOptions options)
    {
        // The reference cuts the prompt at its image tags and encodes each piece as a text of its own, each with <s> in front.
        var prompt = new List<int>();
        var piece = new PromptText().Template($"{User}\n");
        var runs = VisionRun.MakeAll(runs =>
        {
            foreach (var image in images)
            {
                var layout = HdLayout.Of(image.Width, image.Height, options.ImageDetail.MaxCrops ?? _processor.NumCrops, _tower.ImageSize);
                runs.Add(Run(image, layout));
                prompt.AddRange([.. _tokenizer.Start, .. piece.Encode(_tokenizer), .. Enumerable.Repeat(-runs.Count, runs[^1].Features)]);
                piece = new PromptText().Template("\n");
            }
        });
        prompt.AddRange([.. _tokenizer.Start, .. piece.User(instruction).Template($"{End}\n{Assistant}\n").Encode(_tokenizer)]);
        return new ModelInputs(runs, [.. prompt]);
    }

    /// <summary>The whole image and its crops, row by row.</summary>
    VisionRun Run(RgbImage image, HdLayout layout)
    {
        int side = _tower.ImageSize, crop = 3 * side * side, crops = 1 + layout.Rows * layout.Columns;
        var padded = image.Resize(layout.Width, layout.Height, Resample.Bilinear, layout.IsPortrait)
                          .Pad(layout.Columns * side, layout.Rows * side, layout.Left, layout.Top, (255, 255, 255));

        // The whole image is shrunk as values, not as pixels: it waits as such.
        var whole = new float[crop];
        Span<float> tables = stackalloc float[3 * 256];
        PixelValues.Tables(1 / 255.0, _processor.ImageMean, _processor.ImageStd, tables);
        TorchBicubic.Square(padded, tables, side, whole);
        var pixels = Pixels.Copy(
            [.. Enumerable.Range(0, crops - 1).Select(i => padded.Crop(i % layout.Columns * side, i / layout.Columns * side, side, side))]);
        void Fill(Span<float> values)
        {
            whole.CopyTo(values);
            PixelValues.ChannelsFirst(pixels.Pixels, crops - 1, 1 / 255.0, _processor.ImageMean, _processor.ImageStd, values[crop..]);
        }

        var rows = FeatureRows(layout, _tower.PatchesPerSide);
        return new VisionRun(
            new Dictionary<string, HostTensor>
            {
                [VisionRun.Pixels] = new([crops, 3, side, side], Fill, pixels, whole.Length * sizeof(float)),
                ["class_rows"] = new(new long[crops], [crops, 1]),
                ["feature_rows"] = new(rows, [rows.Length / Merged, Merged]),
            },
            rows.Length / Merged);
    }

    /// <summary>
    /// The four patches of each feature, [F, 4], as rows of the crops' hidden states with the two newline embeddings behind them: first the
    /// crops as one picture, a newline after each of its rows, then the separator, then the whole image in the same way.
    /// </summary>
    internal static long[] FeatureRows(HdLayout layout, int patchesPerSide)
    {
        int side = patchesPerSide / Merge, crop = 1 + patchesPerSide * patchesPerSide;
        long newline = (1L + layout.Rows * layout.Columns) * crop, separator = newline + Merged;

        var rows = new List<long>();
        Picture(layout.Rows * side, layout.Columns * side, firstCrop: 1);
        Vector(separator);
        Picture(side, side, firstCrop: 0);
        return [.. rows];

        void Picture(int height, int width, int firstCrop)
        {
            for (int y = 0; y < height; y++)
            {
                for (int x = 0; x < width; x++)
                {
                    // The class token is the first of each crop's hidden states.
                    long start = (long)(firstCrop + y / side * layout.Columns + x / side) * crop + 1;
                    for (int row = 0; row < Merge; row++)
                        for (int column = 0; column < Merge; column++)
                            rows.Add(start + (y % side * Merge + row) * patchesPerSide + x % side * Merge + column);
                }
                Vector(newline);
            }
        }

        void Vector(long first)
        {
            for (int i = 0; i < Merged; i++)
                rows.Add(first + i);
        }
    }

    // ---- Vision: CLIP tower, newline embeddings and projector ----

    /// <summary>An image's crops [B, 3, S, S] to its features [F, D].</summary>
    public override Tensor Vision(GraphBuilder graph, Weights w)
    {
        var pixels = graph.Input(VisionRun.Pixels, ElementType.Float32, "B", 3, _tower.ImageSize, _tower.ImageSize);
        var classRows = graph.Input("class_rows", ElementType.Int64, "B", 1);
        var featureRows = graph.Input("feature_rows", ElementType.Int64, "F", Merged);

        int c = _tower.HiddenSize;
        var (layer, projection) = (w[Embedding], w[$"{Embedding}.img_projection"]);
        var patches = _tower.Features(pixels, classRows, w[Tower[..^1]], _tower.LayersFor(_config.ImgProcessor.LayerIdx)).Reshape(-1, c);
        var newline = layer["sub_GN"].Get(graph, "", [1, 1, 1, Merged * c], @as: [Merged, c]);
        var separator = layer["glb_GN"].Get(graph, "", [1, 1, Merged * c], @as: [Merged, c]);
        return Tensor.Concat(0, patches, newline, separator)                                                       // [B·(1 + P) + 8, C]
            .Rows(featureRows)                                                                                     // [F, 4, C]
            .Reshape(-1, Merged * c)                                                                               // [F, 4·C]
            .Linear(projection["0"], _config.HiddenSize, bias: true).Gelu().Linear(projection["2"], _config.HiddenSize, bias: true);
    }

    // ---- Decoder: Phi-3 ----

    /// <inheritdoc/>
    public override Tensor Decoder(DecoderInputs input, Weights w)
    {
        var x = input.Embeddings;
        for (int i = 0; i < _config.NumHiddenLayers; i++)
            x = DecoderLayer(x, w[$"model.layers.{i}"], input, input.KvCache[i]);

        var head = _config.TieWordEmbeddings ? w["model.embed_tokens"] : w["lm_head"];
        return x.LastToken(input.LastTokens).RmsNorm(w["model.norm"], _config.RmsNormEps).Linear(head, _config.VocabSize);
    }

    /// <summary>Grouped-query attention and SwiGLU, both pre-norm with packed projections, [B, T, D] to [B, T, D].</summary>
    Tensor DecoderLayer(Tensor x, Weights w, DecoderInputs input, KvCacheLayer cache)
    {
        var c = _config;
        var (attn, queries, keys) = (w["self_attn"], c.NumAttentionHeads * c.HeadSize, c.KeyValueHeads * c.HeadSize);
        var qkv = x.RmsNorm(w["input_layernorm"], c.RmsNormEps).Linear(attn["qkv_proj"], queries + 2 * keys).Split(queries, keys, keys);
        var (q, k, v) = (qkv[0].Rotate(input.Rotary), qkv[1].Rotate(input.Rotary), qkv[2]);                        // [B, T, H·d], [B, T, K·d]
        x += Causal(q, k, v, cache, input.Lengths, c.NumAttentionHeads, c.KeyValueHeads, Window).Linear(attn["o_proj"], c.HiddenSize);

        return x + x.RmsNorm(w["post_attention_layernorm"], c.RmsNormEps).PackedSwiGlu(w["mlp"], c.IntermediateSize);
    }

    /// <summary>The sliding window, where it is shorter than any sequence can be (in the published model it is not).</summary>
    int? Window => _config.SlidingWindow < _config.MaxPositionEmbeddings ? _config.SlidingWindow : null;

    /// <inheritdoc/>
    public override DecoderShape Shape => new(
        _config.NumHiddenLayers, _config.VocabSize, _config.HiddenSize, _config.KeyValueHeads, _config.HeadSize);

    /// <inheritdoc/>
    public override RotarySpec? Rotary => _rotary;

    /// <inheritdoc/>
    public override Tokenizer Tokenizer => _tokenizer;

    /// <summary>All tokens that end a turn: the published generation_config.json names only the one that the model never writes.</summary>
    public override IReadOnlyList<int> StopTokenIds(GenerationConfig generation) =>
        [.. new[] { EndOfSequence, EndOfText, End }.Select(token => _tokenizer.TokenId(token)!.Value)];

    /// <inheritdoc/>
    public override Weights TokenEmbedding(Weights w) => w["model.embed_tokens"];

    /// <inheritdoc/>
    public override string? TiedHead => _config.TieWordEmbeddings ? "lm_head.weight" : null;

    /// <summary>The tower's last layers and norm, which lie behind the output that is read.</summary>
    public override bool Ignores(string tensor) =>
        tensor.StartsWith(Tower, StringComparison.Ordinal) && _tower.Ignores(tensor[Tower.Length..], _tower.LayersFor(_config.ImgProcessor.LayerIdx));
}

/// <summary>How the HD transform lays an image out in crops: resized to a size, then padded with white to whole crops.</summary>
/// <param name="Columns">Crops in a row.</param>
/// <param name="Rows">Rows of crops.</param>
/// <param name="Width">Width that the image is resized to.</param>
/// <param name="Height">Height that the image is resized to.</param>
/// <param name="Left">Padding at its left.</param>
/// <param name="Top">Padding above it.</param>
/// <param name="IsPortrait">The reference turns a portrait on its side, cuts it as a landscape, and turns it back.</param>
internal readonly record struct HdLayout(int Columns, int Rows, int Width, int Height, int Left, int Top, bool IsPortrait)
{
    /// <exception cref="ImageException">The image is too narrow: its short side would vanish.</exception>
    public static HdLayout Of(int width, int height, int maxCrops, int side)
    {
        if (width < height)
        {
            var turned = Of(height, width, maxCrops, side);
            return new HdLayout(turned.Rows, turned.Columns, turned.Height, turned.Width, turned.Top, turned.Left, IsPortrait: true);
        }

        double ratio = (double)width / height;
        int scale = 1;
        while ((scale + 1) * Math.Ceiling((scale + 1) / ratio) <= maxCrops)
            scale++;

        int newWidth = scale * side, newHeight = (int)(newWidth / ratio);
        if (newHeight < 1)
            throw new ImageException(
                $"The image is {ratio:F0} times as long as it is wide; with {maxCrops} crops Phi-3.5-Vision sees at most {newWidth} times. "
                + "Crop the image.");

        int rows = (newHeight + side - 1) / side;
        return new HdLayout(scale, rows, newWidth, newHeight, 0, (rows * side - newHeight) / 2, IsPortrait: false);
    }
}
