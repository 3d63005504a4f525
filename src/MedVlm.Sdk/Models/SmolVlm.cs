using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Tokenizers;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>config.json. A key without a default is required; a default is the reference's for a missing key.</summary>
internal sealed record SmolVlmConfig(
    SmolVlmConfig.Vision VisionConfig, SmolVlmConfig.Text TextConfig, int ImageTokenId, int ScaleFactor = 2, bool TieWordEmbeddings = false)
{
    /// <summary>Image features of one tile: patches after the pixel shuffle, 64 in SmolVLM-500M.</summary>
    public int FeaturesPerTile => VisionConfig.Patches / (ScaleFactor * ScaleFactor);

    /// <summary>transformers leaves out of a file what is the default of its Idefics3VisionConfig.</summary>
    internal sealed record Vision(
        int HiddenSize = 1152, int ImageSize = 224, int PatchSize = 32, int NumAttentionHeads = 16, int IntermediateSize = 3072, int NumHiddenLayers = 12,
        float LayerNormEps = 1e-6f, string HiddenAct = "gelu_pytorch_tanh")
    {
        public int PatchesPerSide => ImageSize / PatchSize;

        public int Patches => PatchesPerSide * PatchesPerSide;
    }

    /// <summary>The same of its LlamaConfig.</summary>
    internal sealed record Text(
        int HiddenSize = 4096, int IntermediateSize = 11_008, int NumHiddenLayers = 32, int NumAttentionHeads = 32, int VocabSize = 32_000,
        [property: JsonPropertyName("num_key_value_heads")] int? KeyValueHeads = null,
        float RmsNormEps = 1e-6f, [property: JsonPropertyName("rope_theta")] double? Theta = null, RopeParameters? RopeParameters = null,
        int? HeadDim = null, string HiddenAct = "silu", JsonElement? RopeScaling = null)
    {
        public int HeadSize => HeadDim ?? HiddenSize / NumAttentionHeads;

        [JsonIgnore]
        public int NumKeyValueHeads => KeyValueHeads ?? NumAttentionHeads;

        [JsonIgnore]
        public double RopeTheta => RopeParameters?.RopeTheta ?? Theta ?? 10_000;
    }
}

/// <summary>preprocessor_config.json.</summary>
internal sealed record SmolVlmProcessorConfig(
    EdgeSize Size, EdgeSize MaxImageSize, float[] ImageMean, float[] ImageStd, double RescaleFactor = 1 / 255.0, bool DoImageSplitting = true,
    int Resample = SmolVlmProcessorConfig.Lanczos)
{
    /// <summary>Pillow's number of the Lanczos filter.</summary>
    public const int Lanczos = 1;
}

internal sealed record EdgeSize(int LongestEdge);

/// <summary>SmolVLM and Idefics3: SigLIP vision tower, pixel-shuffle projector, Llama decoder.</summary>
/// <remarks>
/// Paper: "SmolVLM: Redefining small and efficient multimodal models", arXiv:2504.05299. Reference: transformers, models/idefics3.
/// Letters of the shapes: B tiles (vision) or captions (decoder), S side of a tile in pixels, P patches of a tile, T tokens,
/// C vision width, D text width, H heads, K key/value heads, d head size, s pixel-shuffle factor.
/// </remarks>
internal sealed class SmolVlm : ModelFamily
{
    // Patches of one run: as many rows keep the matrix products busy, more of them only take workspace, 100 MiB for each 1,024 in
    // SmolVLM-500M (docs/performance.md).
    const int PatchesPerRun = 1024;

    const string Start = "<|im_start|>", Image = "<image>", FakeToken = "<fake_token_around_image>", GlobalImage = "<global-img>",
        EndOfUtterance = "<end_of_utterance>";

    readonly SmolVlmConfig _config;
    readonly SmolVlmProcessorConfig _processor;
    readonly Tokenizer _tokenizer;

    public SmolVlm(Checkpoint checkpoint)
    {
        ((_config, _processor), _tokenizer) = Beside.Run(
            () => (checkpoint.ReadJson("config.json", FamilyJson.Default.SmolVlmConfig),
                checkpoint.ReadJson("preprocessor_config.json", FamilyJson.Default.SmolVlmProcessorConfig)),
            () => Tokenizer.Load(checkpoint.PathOf("tokenizer.json")));

        Check(_config.VisionConfig, _config.TextConfig, _config.ScaleFactor, _processor.MaxImageSize);
        Unsupported.Unless(_config.VisionConfig.HiddenAct == "gelu_pytorch_tanh", "vision_config.hidden_act", _config.VisionConfig.HiddenAct);
        Unsupported.Unless(_config.TextConfig.HiddenAct == "silu", "text_config.hidden_act", _config.TextConfig.HiddenAct);
        Unsupported.Unless(_config.TextConfig.RopeScaling is null or { ValueKind: JsonValueKind.Null }, "text_config.rope_scaling", "set");
        RopeParameters.Check(_config.TextConfig.RopeParameters, "text_config.");
        Unsupported.Unless(_processor.Resample == SmolVlmProcessorConfig.Lanczos, "resample", $"{_processor.Resample}");
        foreach (var token in (string[])[Start, Image, FakeToken, GlobalImage, EndOfUtterance])
            Unsupported.Unless(_tokenizer.TokenId(token) is not null, "tokenizer.json", $"without the token {token}");
    }

    /// <summary>The sizes that graphs and buffers are made from.</summary>
    static void Check(SmolVlmConfig.Vision vision, SmolVlmConfig.Text text, int scaleFactor, EdgeSize tile)
    {
        Setting.Positive(vision.HiddenSize);
        Setting.Positive(vision.IntermediateSize);
        Setting.Positive(vision.ImageSize);
        Setting.Positive(vision.PatchSize);
        Setting.Positive(vision.NumHiddenLayers);
        Setting.Positive(vision.NumAttentionHeads);
        Setting.Positive(text.HiddenSize);
        Setting.Positive(text.IntermediateSize);
        Setting.Positive(text.NumHiddenLayers);
        Setting.Positive(text.NumAttentionHeads);
        Setting.Positive(text.NumKeyValueHeads);
        Setting.Positive(text.HeadSize);
        Setting.Positive(text.VocabSize);
        Setting.Positive(scaleFactor);
        Setting.Divides(vision.HiddenSize, vision.NumAttentionHeads);
        Setting.Divides(vision.PatchesPerSide, scaleFactor);
        Setting.Divides(text.NumAttentionHeads, text.NumKeyValueHeads);
        Setting.Divides(text.HeadSize, 2);
        Setting.Same(tile.LongestEdge, vision.ImageSize);
    }

    // ---- Inputs ----

    /// <inheritdoc/>
    public override ModelInputs Prepare(IReadOnlyList<RgbImage> images, string instruction, CaptionOptions options)
    {
        var prompt = new PromptText().Template($"{Start}User:");
        var runs = VisionRun.MakeAll(runs =>
        {
            foreach (var image in images)
                prompt.Template(Placeholders(AddRuns(image, options.ImageDetail, runs)));
        });
        prompt.User(instruction).Template($"{EndOfUtterance}\nAssistant:");
        return new ModelInputs(runs, prompt.Encode(_tokenizer));
    }

    /// <summary>Cuts an image into tiles of S×S pixels, row by row, and the whole image as the last tile; adds the runs for them.</summary>
    TileGrid AddRuns(RgbImage given, ImageDetail detail, List<VisionRun> runs)
    {
        int side = _processor.MaxImageSize.LongestEdge;

        // Two resizes in a row, as the reference does them; the first also enlarges a small image.
        using var resized = ResizeLongestEdge(new PooledImage(Pixels, given), detail.LongestEdge ?? _processor.Size.LongestEdge);
        if (!(detail.SplitIntoTiles ?? _processor.DoImageSplitting))
        {
            using var one = resized.Resize(side, side, Resample.Lanczos);
            runs.Add(Run([(one, 0, 0)]));
            return TileGrid.None;
        }

        var (width, height) = WholeTiles(resized.Width, resized.Height, side);
        using var image = resized.Resize(width, height, Resample.Lanczos);
        var grid = new TileGrid(Rows: height / side, Columns: width / side);
        if (grid is { Rows: 1, Columns: 1 })
        {
            runs.Add(Run([(image, 0, 0)]));
            return TileGrid.None;
        }

        if (_tokenizer.TokenId($"<row_{grid.Rows}_col_{grid.Columns}>") is null)
            throw new ImageException(
                $"A longest edge of {detail.LongestEdge} pixels cuts this image into {grid.Rows} x {grid.Columns} tiles, more than the model has "
                + $"tokens for. Take a longest edge of {_processor.Size.LongestEdge} pixels (the checkpoint's own) or less.");

        var tiles = new List<(PooledImage Image, int X, int Y)>(grid.Rows * grid.Columns + 1);
        for (int row = 0; row < grid.Rows; row++)
            for (int column = 0; column < grid.Columns; column++)
                tiles.Add((image, column * side, row * side));

        // The whole image is made from the enlarged one, not from the original.
        using var whole = image.Resize(side, side, Resample.Lanczos);
        tiles.Add((whole, 0, 0));
        runs.AddRange(tiles.Chunk(Math.Max(PatchesPerRun / _config.VisionConfig.Patches, 1)).Select(Run));
        return grid;
    }

    /// <summary>Longest edge to L, the other by aspect ratio, rounded down and then up to an even number.</summary>
    static PooledImage ResizeLongestEdge(PooledImage image, int edge)
    {
        double ratio = (double)image.Width / image.Height;
        var (width, height) = image.Width >= image.Height ? (edge, Even((int)(edge / ratio))) : (Even((int)(edge * ratio)), edge);
        return image.Resize(width, height, Resample.Lanczos);

        static int Even(int value) => Math.Max(value + value % 2, 1);
    }

    /// <summary>Both sides up to whole tiles, the longer side first, in the reference's order of rounding.</summary>
    static (int Width, int Height) WholeTiles(int width, int height, int side)
    {
        double ratio = (double)width / height;
        if (width >= height)
        {
            width = RoundUp(width);
            return (width, RoundUp((int)(width / ratio)));
        }
        height = RoundUp(height);
        return (RoundUp((int)(height * ratio)), height);

        // At least one tile: a quotient just under 1 would leave the reference with an empty image.
        int RoundUp(int value) => Math.Max((value + side - 1) / side, 1) * side;
    }

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> SharedVisionInputs => [];

    VisionRun Run((PooledImage Image, int X, int Y)[] tiles)
    {
        int side = _processor.MaxImageSize.LongestEdge, tile = RgbImage.Channels * side * side, count = tiles.Length;
        var pixels = Pixels.Rent(count * tile);
        foreach (var (i, (image, x, y)) in tiles.Index())
            image.CopySquare(x, y, side, pixels.Pixels.Slice(i * tile, tile));
        var values = new HostTensor([count, 3, side, side], values => PixelValues.ChannelsFirst(
            pixels.Pixels, count, _processor.RescaleFactor, _processor.ImageMean, _processor.ImageStd, values), pixels);

        return new VisionRun(new Dictionary<string, HostTensor> { [VisionRun.Pixels] = values }, count * _config.FeaturesPerTile);
    }

    /// <summary>One placeholder for each image feature: tiles row by row, then the whole image.</summary>
    string Placeholders(TileGrid grid)
    {
        var tile = string.Concat(Enumerable.Repeat(Image, _config.FeaturesPerTile));
        var text = new StringBuilder();
        for (int row = 1; row <= grid.Rows; row++)
        {
            for (int column = 1; column <= grid.Columns; column++)
                text.Append($"{FakeToken}<row_{row}_col_{column}>{tile}");
            text.Append('\n');
        }
        if (grid.Rows > 0)
            text.Append('\n');
        return text.Append($"{FakeToken}{GlobalImage}{tile}{FakeToken}").ToString();
    }

    // ---- Vision: SigLIP tower and projector ----

    /// <summary>Pixels of the tiles [B, 3, S, S] to image features [B, P/s², D].</summary>
    public override Tensor Vision(GraphBuilder graph, Weights w)
    {
        var (v, tower) = (_config.VisionConfig, w["model.vision_model"]);
        var pixels = graph.Input(VisionRun.Pixels, ElementType.Float32, "B", 3, v.ImageSize, v.ImageSize);

        // A tile has the tower's own size, so a patch's position is its index.
        var x = pixels.PatchEmbedding(tower["embeddings.patch_embedding"], v.ImageSize, v.PatchSize, v.HiddenSize)
              + tower["embeddings.position_embedding"].Get(graph, ".weight", [v.Patches, v.HiddenSize]);           // [B, P, C]
        for (int i = 0; i < v.NumHiddenLayers; i++)
            x = VisionBlock(x, tower[$"encoder.layers.{i}"]);

        return x.LayerNorm(tower["post_layernorm"], v.LayerNormEps)
                .PixelShuffle(v.PatchesPerSide, _config.ScaleFactor)                                               // [B, P/s², C·s²]
                .Linear(w["model.connector.modality_projection.proj"], _config.TextConfig.HiddenSize);             // [B, P/s², D]
    }

    /// <summary>Pre-norm transformer block, bidirectional, [B, P, C] to [B, P, C].</summary>
    Tensor VisionBlock(Tensor x, Weights w)
    {
        var v = _config.VisionConfig;
        var (h, attn) = (x.LayerNorm(w["layer_norm1"], v.LayerNormEps), w["self_attn"]);
        var q = h.Linear(attn["q_proj"], v.HiddenSize, bias: true);
        var k = h.Linear(attn["k_proj"], v.HiddenSize, bias: true);
        var value = h.Linear(attn["v_proj"], v.HiddenSize, bias: true);
        x += Bidirectional(q, k, value, v.NumAttentionHeads).Linear(attn["out_proj"], v.HiddenSize, bias: true);

        h = x.LayerNorm(w["layer_norm2"], v.LayerNormEps);
        return x + h.Linear(w["mlp.fc1"], v.IntermediateSize, bias: true).GeluTanh().Linear(w["mlp.fc2"], v.HiddenSize, bias: true);
    }

    // ---- Decoder: Llama ----

    /// <inheritdoc/>
    public override Tensor Decoder(DecoderInputs input, Weights w)
    {
        var (t, x) = (_config.TextConfig, input.Embeddings);
        for (int i = 0; i < t.NumHiddenLayers; i++)
            x = DecoderLayer(x, w[$"model.text_model.layers.{i}"], input, input.KvCache[i]);

        var head = _config.TieWordEmbeddings ? w["model.text_model.embed_tokens"] : w["lm_head"];
        return x.LastToken(input.LastTokens).RmsNorm(w["model.text_model.norm"], t.RmsNormEps).Linear(head, t.VocabSize);
    }

    /// <summary>Grouped-query attention and SwiGLU, both pre-norm, [B, T, D] to [B, T, D].</summary>
    Tensor DecoderLayer(Tensor x, Weights w, DecoderInputs input, KvCacheLayer cache)
    {
        var t = _config.TextConfig;
        var (h, attn) = (x.RmsNorm(w["input_layernorm"], t.RmsNormEps), w["self_attn"]);
        var q = h.Linear(attn["q_proj"], t.NumAttentionHeads * t.HeadSize).Rotate(input.Rotary);                   // [B, T, H·d]
        var k = h.Linear(attn["k_proj"], t.NumKeyValueHeads * t.HeadSize).Rotate(input.Rotary);                    // [B, T, K·d]
        var v = h.Linear(attn["v_proj"], t.NumKeyValueHeads * t.HeadSize);                                         // [B, T, K·d]
        x += Causal(q, k, v, cache, input.Lengths, t.NumAttentionHeads, t.NumKeyValueHeads).Linear(attn["o_proj"], t.HiddenSize);

        return x + x.RmsNorm(w["post_attention_layernorm"], t.RmsNormEps).SwiGlu(w["mlp"], t.IntermediateSize);
    }

    /// <inheritdoc/>
    public override DecoderShape Shape => new(
        _config.TextConfig.NumHiddenLayers, _config.TextConfig.VocabSize, _config.TextConfig.HiddenSize, _config.TextConfig.NumKeyValueHeads,
        _config.TextConfig.HeadSize);

    /// <inheritdoc/>
    public override RotarySpec? Rotary => RotarySpec.Standard(_config.TextConfig.HeadSize, _config.TextConfig.RopeTheta);

    /// <inheritdoc/>
    public override Tokenizer Tokenizer => _tokenizer;

    /// <inheritdoc/>
    public override bool IsPlaceholder(int tokenId) => tokenId == _config.ImageTokenId;

    /// <inheritdoc/>
    public override IReadOnlyList<int> StopTokenIds(GenerationConfig generation) =>
        generation.EosTokenId ?? [_tokenizer.TokenId(EndOfUtterance)!.Value];

    /// <inheritdoc/>
    public override Weights TokenEmbedding(Weights w) => w["model.text_model.embed_tokens"];

    /// <inheritdoc/>
    public override string? TiedHead => _config.TieWordEmbeddings ? "lm_head.weight" : null;
}

/// <summary>How an image was cut: rows and columns of tiles, none if it is one tile as a whole.</summary>
internal readonly record struct TileGrid(int Rows, int Columns)
{
    public static TileGrid None => default;
}
