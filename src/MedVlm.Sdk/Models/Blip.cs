using System.Text.Json;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Tokenizers;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>
/// config.json, whole or as transformers saves it again: only what differs from the classes' defaults. So every default here is the
/// reference's, also where no published model has it (8 heads in the text decoder).
/// </summary>
internal sealed record BlipConfig(BlipVisionConfig? VisionConfig = null, BlipTextConfig? TextConfig = null)
{
    public BlipVisionConfig VisionConfig { get; } = VisionConfig ?? new();

    public BlipTextConfig TextConfig { get; } = TextConfig ?? new();
}

internal sealed record BlipVisionConfig(
    int HiddenSize = 768, int IntermediateSize = 3072, int NumHiddenLayers = 12, int NumAttentionHeads = 12, int ImageSize = 384,
    int PatchSize = 16, float LayerNormEps = 1e-5f, string HiddenAct = "gelu", int NumChannels = 3)
{
    /// <summary>Image features: the patches, and the class token in front of them.</summary>
    public int Features => 1 + ImageSize / PatchSize * (ImageSize / PatchSize);
}

internal sealed record BlipTextConfig(
    int VocabSize = 30524, int HiddenSize = 768, int IntermediateSize = 3072, int NumHiddenLayers = 12, int NumAttentionHeads = 8,
    int MaxPositionEmbeddings = 512, float LayerNormEps = 1e-12f, string HiddenAct = "gelu", int BosTokenId = 30522, int SepTokenId = 102,
    string PositionEmbeddingType = "absolute", bool IsDecoder = true, float RepetitionPenalty = 1, int NoRepeatNgramSize = 0,
    int MinLength = 0, JsonElement? BadWordsIds = null, JsonElement? SuppressTokens = null, JsonElement? BeginSuppressTokens = null);

/// <summary>preprocessor_config.json.</summary>
internal sealed record BlipProcessorConfig(
    ImageSides? Size = null, float[]? ImageMean = null, float[]? ImageStd = null, double RescaleFactor = 1 / 255.0,
    int Resample = BlipProcessorConfig.Bicubic, bool DoResize = true, bool DoRescale = true, bool DoNormalize = true)
{
    /// <summary>Pillow's number of the bicubic filter.</summary>
    public const int Bicubic = 3;

    public ImageSides Size { get; } = Size ?? new(384, 384);

    // CLIP's.
    public float[] ImageMean { get; } = ImageMean ?? [0.48145466f, 0.4578275f, 0.40821073f];

    public float[] ImageStd { get; } = ImageStd ?? [0.26862954f, 0.26130258f, 0.27577711f];
}

internal sealed record ImageSides(int Height, int Width);

/// <summary>BLIP: ViT vision tower, BERT text decoder that looks at the image through cross-attention.</summary>
/// <remarks>
/// Paper: "BLIP: Bootstrapping Language-Image Pre-training", arXiv:2201.12086. Reference: transformers, models/blip.
/// Letters of the shapes: B captions, S side of the image in pixels, P patches, C vision width, T tokens, D text width, H heads,
/// d head size.
/// </remarks>
internal sealed class Blip : ModelFamily
{
    readonly BlipConfig _config;
    readonly BlipProcessorConfig _processor;
    readonly Tokenizer _tokenizer;

    public Blip(Checkpoint checkpoint)
    {
        _config = checkpoint.ReadJson("config.json", FamilyJson.Default.BlipConfig);
        _processor = checkpoint.ReadJson("preprocessor_config.json", FamilyJson.Default.BlipProcessorConfig);
        _tokenizer = Tokenizer.Load(checkpoint.PathOf(checkpoint.Has("tokenizer.json") ? "tokenizer.json" : "vocab.txt"));

        Check(_config.VisionConfig, _config.TextConfig);
        Check(_processor, _config.VisionConfig.ImageSize);
    }

    /// <summary>The sizes that graphs and buffers are made from, and what would change the arithmetic.</summary>
    static void Check(BlipVisionConfig vision, BlipTextConfig text)
    {
        Setting.Positive(vision.HiddenSize);
        Setting.Positive(vision.IntermediateSize);
        Setting.Positive(vision.NumHiddenLayers);
        Setting.Positive(vision.NumAttentionHeads);
        Setting.Positive(vision.ImageSize);
        Setting.Positive(vision.PatchSize);
        Setting.Positive(text.VocabSize);
        Setting.Positive(text.HiddenSize);
        Setting.Positive(text.IntermediateSize);
        Setting.Positive(text.NumHiddenLayers);
        Setting.Positive(text.NumAttentionHeads);
        Setting.Positive(text.MaxPositionEmbeddings);
        Setting.Divides(vision.ImageSize, vision.PatchSize);
        Setting.Divides(vision.HiddenSize, vision.NumAttentionHeads);
        Setting.Divides(text.HiddenSize, text.NumAttentionHeads);
        Setting.TokenId(text.BosTokenId, text.VocabSize);
        Setting.TokenId(text.SepTokenId, text.VocabSize);

        Unsupported.Unless(vision.HiddenAct == "gelu", "vision_config.hidden_act", vision.HiddenAct);
        Unsupported.Unless(vision.NumChannels == RgbImage.Channels, "vision_config.num_channels", $"{vision.NumChannels}");
        Unsupported.Unless(text.HiddenAct == "gelu", "text_config.hidden_act", text.HiddenAct);
        Unsupported.Unless(text.PositionEmbeddingType == "absolute", "text_config.position_embedding_type", text.PositionEmbeddingType);
        Unsupported.Unless(text.IsDecoder, "text_config.is_decoder", "false");

        // The reference generates with these, and never looks at generation_config.json.
        Unsupported.Unless(text.RepetitionPenalty == 1, "text_config.repetition_penalty", $"{text.RepetitionPenalty}");
        Unsupported.Unless(text.NoRepeatNgramSize == 0, "text_config.no_repeat_ngram_size", $"{text.NoRepeatNgramSize}");
        Unsupported.Unless(text.MinLength == 0, "text_config.min_length", $"{text.MinLength}");
        Unsupported.UnlessNull(text.BadWordsIds, "text_config.bad_words_ids");
        Unsupported.UnlessNull(text.SuppressTokens, "text_config.suppress_tokens");
        Unsupported.UnlessNull(text.BeginSuppressTokens, "text_config.begin_suppress_tokens");
    }

    static void Check(BlipProcessorConfig processor, int imageSize)
    {
        Setting.Same(processor.Size.Height, imageSize);
        Setting.Same(processor.Size.Width, imageSize);
        Unsupported.Unless(processor.Resample == BlipProcessorConfig.Bicubic, "resample", $"{processor.Resample}");
        Unsupported.Unless(processor.DoResize, "do_resize", "false");
        Unsupported.Unless(processor.DoRescale, "do_rescale", "false");
        Unsupported.Unless(processor.DoNormalize, "do_normalize", "false");
        Unsupported.Unless(processor.ImageMean.Length == RgbImage.Channels, "image_mean", $"of {processor.ImageMean.Length} channels");
        Unsupported.Unless(processor.ImageStd.Length == RgbImage.Channels, "image_std", $"of {processor.ImageStd.Length} channels");
    }

    // ---- Inputs ----

    /// <inheritdoc/>
    public override ModelInputs Prepare(IReadOnlyList<RgbImage> images, string instruction, CaptionOptions options)
    {
        if (images.Count != 1)
            throw new ImageException(
                $"BLIP captions one image, but the request has {images.Count}. Make a request for each image, or take a family that "
                + "reads several (docs/families).");

        var prompt = Prompt(instruction);
        if (prompt.Length > MaxPositions)
            throw new MedVlmException(
                $"The prompt has {prompt.Length} tokens, but the model knows {MaxPositions} positions (max_position_embeddings). Shorten it.");

        return new ModelInputs([Run(images[0])], prompt);
    }

    /// <summary>
    /// The caption's first words, which the model goes on with; without any it writes the whole caption. The reference has the tokenizer
    /// put [CLS] in front and [SEP] behind, then replaces the one by [DEC], which the tokenizer does not know, and drops the other.
    /// </summary>
    internal int[] Prompt(string instruction) =>
        [_config.TextConfig.BosTokenId, .. new PromptText().User(instruction).Encode(_tokenizer)];

    /// <summary>The image stretched to a square of S×S pixels, whatever its shape.</summary>
    VisionRun Run(RgbImage image)
    {
        int side = _config.VisionConfig.ImageSize;
        var pixels = Pixels.Copy([image.Resize(side, side, Resample.Bicubic)]);
        var values = new HostTensor([1, RgbImage.Channels, side, side], values => PixelValues.ChannelsFirst(
            pixels.Pixels, tiles: 1, _processor.RescaleFactor, _processor.ImageMean, _processor.ImageStd, values), pixels);

        return new VisionRun(new Dictionary<string, HostTensor> { [VisionRun.Pixels] = values }, _config.VisionConfig.Features);
    }

    // ---- Vision: ViT ----

    /// <summary>Pixels of one image [1, 3, S, S] to image features [1, P + 1, C], the class token's first.</summary>
    public override Tensor Vision(GraphBuilder graph, Weights w)
    {
        var (v, tower) = (_config.VisionConfig, w["vision_model"]);
        var embeddings = tower["embeddings"];
        var pixels = graph.Input(VisionRun.Pixels, ElementType.Float32, 1, RgbImage.Channels, v.ImageSize, v.ImageSize);

        var x = pixels.PatchEmbedding(embeddings["patch_embedding"], v.ImageSize, v.PatchSize, v.HiddenSize)       // [1, P, C]
                      .BehindClassToken(embeddings["class_embedding"].Get(graph, "", [1, 1, v.HiddenSize]))
              + embeddings["position_embedding"].Get(graph, "", [1, v.Features, v.HiddenSize]);                    // [1, P + 1, C]
        for (int i = 0; i < v.NumHiddenLayers; i++)
            x = VisionBlock(x, tower[$"encoder.layers.{i}"]);
        return x.LayerNorm(tower["post_layernorm"], v.LayerNormEps);
    }

    /// <summary>Pre-norm transformer block, bidirectional, [1, P + 1, C] to [1, P + 1, C].</summary>
    Tensor VisionBlock(Tensor x, Weights w)
    {
        var v = _config.VisionConfig;
        var qkv = x.LayerNorm(w["layer_norm1"], v.LayerNormEps).Linear(w["self_attn.qkv"], 3 * v.HiddenSize, bias: true)
                   .Split(v.HiddenSize, v.HiddenSize, v.HiddenSize);
        x += Bidirectional(qkv[0], qkv[1], qkv[2], v.NumAttentionHeads).Linear(w["self_attn.projection"], v.HiddenSize, bias: true);

        return x + x.LayerNorm(w["layer_norm2"], v.LayerNormEps)
                    .Linear(w["mlp.fc1"], v.IntermediateSize, bias: true).Gelu().Linear(w["mlp.fc2"], v.HiddenSize, bias: true);
    }

    /// <summary>Keys and values that each decoder layer makes of the image features [1, P + 1, C]: [1, H, P + 1, d].</summary>
    public override IReadOnlyList<(Tensor Keys, Tensor Values)> CrossAttention(Tensor imageFeatures, Weights w)
    {
        var t = _config.TextConfig;
        return [.. Enumerable.Range(0, t.NumHiddenLayers).Select(i =>
        {
            var attn = DecoderLayer(w, i)["crossattention.self"];
            return (imageFeatures.Linear(attn["key"], t.HiddenSize, bias: true).SplitHeads(t.NumAttentionHeads),
                    imageFeatures.Linear(attn["value"], t.HiddenSize, bias: true).SplitHeads(t.NumAttentionHeads));
        })];
    }

    // ---- Decoder: BERT, post-norm ----

    /// <summary>Embeddings, learned positions added [B, T, D], to the logits of each caption's last token [B, vocab].</summary>
    public override Tensor Decoder(DecoderInputs input, Weights w)
    {
        var t = _config.TextConfig;
        var x = input.Embeddings.LayerNorm(w["text_decoder.bert.embeddings.LayerNorm"], t.LayerNormEps);
        for (int i = 0; i < t.NumHiddenLayers; i++)
        {
            var layer = DecoderLayer(w, i);
            x = SelfAttention(x, layer["attention"], input, input.KvCache[i]);
            x = CrossAttention(x, layer["crossattention"], input.Cross[i]);
            x = FeedForward(x, layer);
        }

        var predictions = w["text_decoder.cls.predictions"];
        return x.LastToken(input.LastTokens)
                .Linear(predictions["transform.dense"], t.HiddenSize, bias: true).Gelu()
                .LayerNorm(predictions["transform.LayerNorm"], t.LayerNormEps)
                .Linear(HeadWeight(w), t.VocabSize) + HeadBias(w).Get(x.Graph, ".bias", [t.VocabSize]);
    }

    Tensor SelfAttention(Tensor x, Weights w, DecoderInputs input, KvCacheLayer cache)
    {
        var (t, attn) = (_config.TextConfig, w["self"]);
        var q = x.Linear(attn["query"], t.HiddenSize, bias: true);
        var k = x.Linear(attn["key"], t.HiddenSize, bias: true);
        var v = x.Linear(attn["value"], t.HiddenSize, bias: true);
        return AddAndNorm(x, Causal(q, k, v, cache, input.Lengths, t.NumAttentionHeads, t.NumAttentionHeads), w["output"]);
    }

    Tensor CrossAttention(Tensor x, Weights w, (Tensor Keys, Tensor Values) image)
    {
        var t = _config.TextConfig;
        return AddAndNorm(x, Cross(x.Linear(w["self.query"], t.HiddenSize, bias: true), image, t.NumAttentionHeads), w["output"]);
    }

    Tensor FeedForward(Tensor x, Weights w) =>
        AddAndNorm(x, x.Linear(w["intermediate.dense"], _config.TextConfig.IntermediateSize, bias: true).Gelu(), w["output"]);

    /// <summary><c>LayerNorm(x + dense(branch))</c>.</summary>
    Tensor AddAndNorm(Tensor x, Tensor branch, Weights w) =>
        (x + branch.Linear(w["dense"], _config.TextConfig.HiddenSize, bias: true)).LayerNorm(w["LayerNorm"], _config.TextConfig.LayerNormEps);

    static Weights DecoderLayer(Weights w, int layer) => w[$"text_decoder.bert.encoder.layer.{layer}"];

    // tie_word_embeddings is true in every config.json, and yet a head weight in the file counts: the reference finds both and ties nothing.
    Weights HeadWeight(Weights w) => w["text_decoder.cls.predictions.decoder"] is var head && head.Has(".weight") ? head : TokenEmbedding(w);

    static Weights HeadBias(Weights w) =>
        w["text_decoder.cls.predictions.decoder"] is var head && head.Has(".bias") ? head : w["text_decoder.cls.predictions"];

    /// <inheritdoc/>
    public override DecoderShape Shape => new(
        _config.TextConfig.NumHiddenLayers, _config.TextConfig.VocabSize, _config.TextConfig.HiddenSize, _config.TextConfig.NumAttentionHeads,
        _config.TextConfig.HiddenSize / _config.TextConfig.NumAttentionHeads, CrossLength: _config.VisionConfig.Features);

    /// <inheritdoc/>
    public override Tokenizer Tokenizer => _tokenizer;

    /// <inheritdoc/>
    public override int FeatureWidth => _config.VisionConfig.HiddenSize;

    /// <summary>The prompt has no image in it: the decoder looks at it in every layer.</summary>
    public override bool IsPlaceholder(int tokenId) => false;

    /// <summary>[SEP], whatever generation_config.json says: its eos_token_id is an unused word.</summary>
    public override IReadOnlyList<int> StopTokenIds(GenerationConfig generation) => [_config.TextConfig.SepTokenId];

    /// <inheritdoc/>
    public override Weights TokenEmbedding(Weights w) => w["text_decoder.bert.embeddings.word_embeddings"];

    /// <inheritdoc/>
    public override Weights? PositionEmbedding(Weights w) => w["text_decoder.bert.embeddings.position_embeddings"];

    /// <inheritdoc/>
    public override int MaxPositions => _config.TextConfig.MaxPositionEmbeddings;

    /// <summary>None: the model was trained to caption, not to follow an instruction.</summary>
    public override string? DefaultPrompt => "";

    /// <summary>A table of 0, 1, 2, … in older files, and the head's bias where it is stored under both its names.</summary>
    public override bool Ignores(string tensor) =>
        tensor is "text_decoder.bert.embeddings.position_ids" or "text_decoder.cls.predictions.bias";
}
