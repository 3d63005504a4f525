using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Tokenizers;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>config.json. Its <c>config</c> is published empty: the defaults are those of the reference's code.</summary>
internal sealed record Moondream2Config(Moondream2Config.Settings? Config = null)
{
    internal sealed record Settings(TextSettings? Text = null, VisionSettings? Vision = null, Tokens? Tokenizer = null);

    internal sealed record TextSettings(
        int Dim = 2048, int FfDim = 8192, int NLayers = 24, int VocabSize = 51200, int MaxContext = 2048, int NHeads = 32, int? NKvHeads = null,
        int? GroupSize = null)
    {
        // As in the reference, LayerNorm's epsilon and rotary's base are in no file; half of each head is turned (32 of 64 dimensions).
        public const float LayerNormEps = 1e-5f;
        public const double RopeTheta = 10_000;

        public int KeyValueHeads => NKvHeads ?? NHeads;

        public int HeadSize => Dim / NHeads;

        public int RotaryDim => HeadSize / 2;
    }

    internal sealed record VisionSettings(
        int EncDim = 1152, int EncPatchSize = 14, int EncNLayers = 27, int EncFfDim = 4304, int EncNHeads = 16, int ProjOutDim = 2048,
        int CropSize = 378, int InChannels = 3, int MaxCrops = 12, int OverlapMargin = 4, int ProjInnerDim = 8192)
    {
        /// <summary>Patches in a row. (The reference takes its number of layers for it: both are 27 in what is published.)</summary>
        public int Grid => CropSize / EncPatchSize;

        public int Patches => Grid * Grid;

        public CropGrid Crops => new(CropSize, EncPatchSize, OverlapMargin, MaxCrops);
    }

    internal sealed record Tokens(int BosId, int EosId, Templates Templates, int? AnswerId = null);

    internal sealed record Templates(Captions? Caption = null, Query? Query = null);

    internal sealed record Captions(int[]? Short = null, int[]? Normal = null, int[]? Long = null);

    internal sealed record Query(int[] Prefix, int[] Suffix);
}

/// <summary>Moondream2: overlapping crops, SigLIP-like vision tower, a prefix of image features that see each other, Phi-1.5 decoder.</summary>
/// <remarks>
/// No paper. Reference: vikhyat/moondream, moondream/torch (44146f1 for 2025-06-21, f660ccb for 2025-04-14). Letters of the shapes:
/// B crops (vision) or captions (decoder), S side of a crop in pixels, P patches of a crop and image features, T tokens, C vision width,
/// D text width, H heads, K key/value heads, d head size.
/// </remarks>
internal sealed class Moondream2 : ModelFamily
{
    const string TokenizerFile = "tokenizer.json";

    readonly Moondream2Config.TextSettings _text;
    readonly Moondream2Config.VisionSettings _vision;
    readonly Moondream2Config.Tokens _tokens;
    readonly Moondream2Release _release;
    readonly Tokenizer _tokenizer;

    /// <param name="source">The model's folder, and the tokenizer where the application names one.</param>
    /// <param name="cache">Where the companion repository is looked for; null is the user's own.</param>
    public Moondream2(ModelSource source, HubCache? cache = null)
    {
        var config = source.Checkpoint.ReadJson("config.json", FamilyJson.Default.Moondream2Config).Config;
        _release = Moondream2Release.Of(source.Checkpoint, config);
        (_text, _vision, _tokens) = (config?.Text ?? new(), config?.Vision ?? new(), config?.Tokenizer ?? _release.Tokens);

        Check(_text, _vision, _tokens);
        _tokenizer = _release.LoadTokenizer(source, _tokens.EosId, cache);
    }

    /// <summary>The sizes that graphs and buffers are made from, and the ids that prompts are.</summary>
    static void Check(Moondream2Config.TextSettings text, Moondream2Config.VisionSettings vision, Moondream2Config.Tokens tokens)
    {
        Setting.Positive(vision.EncDim);
        Setting.Positive(vision.EncFfDim);
        Setting.Positive(vision.EncNLayers);
        Setting.Positive(vision.EncNHeads);
        Setting.Positive(vision.EncPatchSize);
        Setting.Positive(vision.CropSize);
        Setting.Positive(vision.MaxCrops);
        Setting.Positive(vision.ProjInnerDim);
        Setting.Positive(text.Dim);
        Setting.Positive(text.FfDim);
        Setting.Positive(text.NLayers);
        Setting.Positive(text.NHeads);
        Setting.Positive(text.KeyValueHeads);
        Setting.Positive(text.VocabSize);
        Setting.Positive(text.MaxContext);
        Setting.Divides(vision.CropSize, vision.EncPatchSize);
        Setting.Divides(vision.EncDim, vision.EncNHeads);
        Setting.Divides(text.Dim, text.NHeads);
        Setting.Divides(text.NHeads, text.KeyValueHeads);
        Setting.Divides(text.HeadSize, 4);
        Unsupported.Unless(vision.OverlapMargin >= 0 && 2 * (long)vision.OverlapMargin < vision.Grid, "config.vision.overlap_margin", $"{vision.OverlapMargin}");
        Unsupported.Unless(vision.InChannels == RgbImage.Channels, "config.vision.in_channels", $"{vision.InChannels}");
        Unsupported.Unless(vision.ProjOutDim == text.Dim, "config.vision.proj_out_dim", $"{vision.ProjOutDim}");
        Unsupported.Unless(text.GroupSize is null, "config.text.group_size", $"{text.GroupSize}");

        Setting.TokenId(tokens.BosId, text.VocabSize);
        Setting.TokenId(tokens.EosId, text.VocabSize);
        Setting.TokenId(tokens.AnswerId ?? tokens.EosId, text.VocabSize, "answer_id");
        var (caption, query) = (tokens.Templates.Caption, tokens.Templates.Query);
        foreach (var template in (int[]?[])[caption?.Short, caption?.Normal, caption?.Long, query?.Prefix, query?.Suffix])
        {
            foreach (int id in template ?? [])
                Setting.TokenId(id, text.VocabSize, "templates");
            Unsupported.Unless(template is not [], "config.tokenizer.templates", "with an empty one");
        }
    }

    // ---- Inputs ----

    /// <summary>An empty prompt asks for a caption, a text is a question about the image.</summary>
    public override string DefaultPrompt => "";

    /// <inheritdoc/>
    public override ModelInputs Prepare(IReadOnlyList<RgbImage> images, string instruction, CaptionOptions options)
    {
        if (images.Count != 1)
            throw new ImageException(
                $"Moondream2 looks at one image, but the request has {images.Count}. Make a request for each image, or take a family that "
                + "takes several (docs/families lists them).");

        int[] image = [_tokens.BosId, .. Enumerable.Repeat(-1, _vision.Patches)];   // a placeholder is no token of the vocabulary
        int[] ids = [.. image, .. instruction.Length == 0 ? Caption(options.Length ?? CaptionLength.Normal) : Question(instruction)];
        if (ids.Length > _text.MaxContext)
            throw new MedVlmException(
                $"The prompt has {ids.Length} tokens, {image.Length} of them for the image, but the model takes {_text.MaxContext} (max_context). "
                + "Ask a shorter question.");
        return new ModelInputs([Run(images[0])], ids);
    }

    /// <summary>The template that asks for a caption of this length.</summary>
    int[] Caption(CaptionLength length)
    {
        var captions = _tokens.Templates.Caption;
        return length switch { CaptionLength.Short => captions?.Short, CaptionLength.Normal => captions?.Normal, _ => captions?.Long }
            ?? throw new UnsupportedModelException(
                $"CaptionOptions.Length is {length}, for which this release of Moondream2 has no template: it was not trained on such captions. "
                + $"Take another length, or a release that has it ({Moondream2Release.June2025.Name} has all).");
    }

    /// <summary>The template around a question, whose text is the user's own: control tokens written in it stay text.</summary>
    int[] Question(string question)
    {
        var template = _tokens.Templates.Query
            ?? throw new UnsupportedModelException("This release of Moondream2 has no template for questions (config.tokenizer.templates.query): leave the prompt empty.");

        var text = new PromptText().Template(_release.SpaceBeforeQuestion ? " " : "").User(question).Encode(_tokenizer);
        if (text.Any(id => id >= _text.VocabSize))
            throw new CheckpointException(
                $"{TokenizerFile}: it has tokens beyond the model's {_text.VocabSize} (config.text.vocab_size). Take both from one revision.");

        // Twice where the released code appends it twice: the model is asked as the reference asks it.
        return [.. template.Prefix, .. text, .. template.Suffix, .. _release.SuffixTwice ? template.Suffix : []];
    }

    /// <summary>All crops in one run, as the pooled features need them together: the whole image first, then the tiles row by row.</summary>
    VisionRun Run(RgbImage image)
    {
        var crops = _vision.Crops;
        var tiling = crops.Tiling(image.Width, image.Height);
        int side = _vision.CropSize, count = 1 + tiling.Rows * tiling.Columns;
        var pixels = Pixels.Copy([.. crops.Cut(image, tiling)]);

        return new VisionRun(
            new Dictionary<string, HostTensor>
            {
                [VisionRun.Pixels] = new(
                    [count, RgbImage.Channels, side, side],
                    values => PixelValues.ChannelsFirst(pixels.Pixels, count, 1 / 255.0, [0.5f, 0.5f, 0.5f], [0.5f, 0.5f, 0.5f], values), pixels),
                ["pooling"] = new([_vision.Patches, count * _vision.Patches], matrix => crops.FillPooling(tiling, matrix)),
            },
            _vision.Patches);
    }

    // ---- Vision: tower, pooling of the tiles to the size of one, projector ----

    /// <summary>Pixels of the crops [B, 3, S, S] and the tiles' pooling [P, B·P] to image features [P, D].</summary>
    public override Tensor Vision(GraphBuilder graph, Weights w)
    {
        var (v, tower) = (_vision, w["model.vision"]);
        var pixels = graph.Input(VisionRun.Pixels, ElementType.Float32, "B", RgbImage.Channels, v.CropSize, v.CropSize);
        var pooling = graph.Input("pooling", ElementType.Float32, v.Patches, "N");

        var x = pixels.Patches(v.CropSize, v.EncPatchSize).Linear(tower["patch_emb"], v.EncDim, bias: true)
              + tower["pos_emb"].Get(graph, "", [1, v.Patches, v.EncDim]);                                        // [B, P, C]
        for (int i = 0; i < v.EncNLayers; i++)
            x = VisionBlock(x, tower[$"blocks.{i}"]);
        x = x.LayerNorm(tower["post_ln"], Moondream2Config.TextSettings.LayerNormEps);

        var whole = x.First().Reshape(v.Patches, v.EncDim);                                                       // [P, C]
        var tiles = pooling.MatMul(x.Reshape(-1, v.EncDim));                                                      // [P, C]
        return Mlp(whole.Concat(tiles), tower["proj_mlp"], v.ProjInnerDim, v.ProjOutDim);
    }

    /// <summary>Pre-norm transformer block, bidirectional, [B, P, C] to [B, P, C].</summary>
    Tensor VisionBlock(Tensor x, Weights w)
    {
        var (v, attn) = (_vision, w["attn"]);
        var qkv = x.LayerNorm(w["ln1"], Moondream2Config.TextSettings.LayerNormEps).Linear(attn["qkv"], 3 * v.EncDim, bias: true)
                   .Split(v.EncDim, v.EncDim, v.EncDim);
        x += Bidirectional(qkv[0], qkv[1], qkv[2], v.EncNHeads).Linear(attn["proj"], v.EncDim, bias: true);
        return x + Mlp(x.LayerNorm(w["ln2"], Moondream2Config.TextSettings.LayerNormEps), w["mlp"], v.EncFfDim, v.EncDim);
    }

    /// <summary>Two linear layers with GELU between them.</summary>
    static Tensor Mlp(Tensor x, Weights w, int inner, int outputs) =>
        x.Linear(w["fc1"], inner, bias: true).GeluTanh().Linear(w["fc2"], outputs, bias: true);

    // ---- Decoder: Phi-1.5 ----

    /// <inheritdoc/>
    public override Tensor Decoder(DecoderInputs input, Weights w)
    {
        var (x, text) = (input.Embeddings, w["model.text"]);
        for (int i = 0; i < _text.NLayers; i++)
            x = DecoderLayer(x, text[$"blocks.{i}"], input, input.KvCache[i]);
        return x.LastToken(input.LastTokens).LayerNorm(text["post_ln"], Moondream2Config.TextSettings.LayerNormEps)
                .Linear(text["lm_head"], _text.VocabSize, bias: true);
    }

    /// <summary>Attention and MLP beside each other behind one norm, [B, T, D] to [B, T, D].</summary>
    Tensor DecoderLayer(Tensor x, Weights w, DecoderInputs input, KvCacheLayer cache)
    {
        var (t, attn, y) = (_text, w["attn"], x.LayerNorm(w["ln"], Moondream2Config.TextSettings.LayerNormEps));
        int queries = t.NHeads * t.HeadSize, keys = t.KeyValueHeads * t.HeadSize;
        var qkv = y.Linear(attn["qkv"], queries + 2 * keys, bias: true).Split(queries, keys, keys);
        var q = qkv[0].RotatePart(input.Rotary, t.NHeads, t.RotaryDim);                                           // [B, T, H·d]
        var k = qkv[1].RotatePart(input.Rotary, t.KeyValueHeads, t.RotaryDim);                                    // [B, T, K·d]
        var attention = CausalAfterPrefix(q, k, qkv[2], cache, input.Lengths, input.SeesAll!, t.NHeads, t.KeyValueHeads);
        return x + attention.Linear(attn["proj"], t.Dim, bias: true) + Mlp(y, w["mlp"], t.FfDim, t.Dim);
    }

    /// <inheritdoc/>
    public override DecoderShape Shape => new(_text.NLayers, _text.VocabSize, _text.Dim, _text.KeyValueHeads, _text.HeadSize);

    /// <inheritdoc/>
    public override RotarySpec? Rotary => RotarySpec.Standard(_text.RotaryDim, Moondream2Config.TextSettings.RopeTheta);

    /// <inheritdoc/>
    public override int MaxPositions => _text.MaxContext;

    /// <summary>The start token and the image.</summary>
    public override int PrefixLength => 1 + _vision.Patches;

    /// <summary>The token that ends a chain of reasoning, which a caption has none of.</summary>
    public override IReadOnlyList<int> SuppressedAfterFirst => _release.SuppressesAnswer ? [_tokens.AnswerId ?? _release.Tokens.AnswerId!.Value] : [];

    /// <inheritdoc/>
    public override Tokenizer Tokenizer => _tokenizer;

    /// <inheritdoc/>
    public override IReadOnlyList<int> StopTokenIds(GenerationConfig generation) => [_tokens.EosId];

    /// <inheritdoc/>
    public override Weights TokenEmbedding(Weights w) => w["model.text.wte"].Itself;

    /// <summary>Weights for finding and pointing at objects.</summary>
    public override bool Ignores(string tensor) => tensor.StartsWith("model.region.", StringComparison.Ordinal);
}
