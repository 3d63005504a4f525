using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Tokenizers;

namespace MedVlm.Models;

/// <summary>
/// One model family: how an image and a question become the model's inputs, and what the model computes. Each family is one file
/// that reads like its paper; everything else (sessions, KV cache, sampling, scheduling) is the engine's and the same for all.
/// </summary>
internal abstract class ModelFamily
{
    // ---- What a family must say ----

    /// <summary>The graph from a <see cref="VisionRun"/>'s inputs to image features, [.., features, <see cref="FeatureWidth"/>].</summary>
    public abstract Tensor Vision(GraphBuilder graph, Weights w);

    /// <summary>Embeddings with the image features merged in [B, T, D] to the logits of each caption's last token [B, vocab].</summary>
    public abstract Tensor Decoder(DecoderInputs input, Weights w);

    /// <summary>The sizes that the engine needs to lay out inputs and KV cache.</summary>
    public abstract DecoderShape Shape { get; }

    /// <summary>The tokenizer of prompts and captions.</summary>
    public abstract Tokenizer Tokenizer { get; }

    /// <summary>Path of the token embedding [vocab, D], which stays on the host.</summary>
    public abstract Weights TokenEmbedding(Weights w);

    /// <summary>Images and the user's text to the vision graph's inputs and the prompt.</summary>
    /// <param name="images">At least one image.</param>
    /// <param name="instruction">The prompt, defaults filled in; may be empty.</param>
    /// <param name="options">The caption's other options.</param>
    /// <exception cref="ImageException">The model cannot take an image of this shape.</exception>
    public abstract ModelInputs Prepare(IReadOnlyList<RgbImage> images, string instruction, CaptionOptions options);

    /// <summary>Tokens that end a caption.</summary>
    public abstract IReadOnlyList<int> StopTokenIds(GenerationConfig generation);

    // ---- What all have ----

    /// <summary>Where the pixels of images wait that have been prepared.</summary>
    public PixelPool Pixels { get; } = new();

    // ---- What only some families have ----

    /// <summary>The angles of the decoder's rotary embedding; null where it has none.</summary>
    public virtual RotarySpec? Rotary => null;

    /// <summary>Learned positions [<see cref="MaxPositions"/>, D] that the host adds to the token embedding; null where there are none.</summary>
    public virtual Weights? PositionEmbedding(Weights w) => null;

    /// <summary>Tokens that the decoder can take in at most, prompt and caption together. A prompt has at most as many; a caption ends there.</summary>
    public virtual int MaxPositions => int.MaxValue;

    /// <summary>Width of an image feature: the decoder's hidden size where features are merged into the prompt.</summary>
    public virtual int FeatureWidth => Shape.HiddenSize;

    /// <summary>Whether a prompt token stands for an image feature. Families whose placeholder is no token of the vocabulary use negative ids.</summary>
    public virtual bool IsPlaceholder(int tokenId) => tokenId < 0;

    /// <summary>Keys and values of each decoder layer's cross-attention, [B, K, features, d], computed once for an image; none without it.</summary>
    public virtual IReadOnlyList<(Tensor Keys, Tensor Values)> CrossAttention(Tensor imageFeatures, Weights w) => [];

    /// <summary>Tokens at the start of every prompt that see each other both ways; 0 where all attention is causal.</summary>
    public virtual int PrefixLength => 0;

    /// <summary>Tokens that are never chosen after the first one.</summary>
    public virtual IReadOnlyList<int> SuppressedAfterFirst => [];

    /// <summary>
    /// Inputs of a run of the vision graph that all images of one size share; all others stack along their first dimension, so that runs of
    /// several images can be one. Null where they cannot, as where an input holds places of patches in its run.
    /// </summary>
    public virtual IReadOnlyCollection<string>? SharedVisionInputs => null;

    /// <summary>Prompt of a request that brings none; null takes the library's.</summary>
    public virtual string? DefaultPrompt => null;

    /// <summary>Where the weights are: the checkpoint's tensors, with those of a companion checkpoint where the family has one.</summary>
    public virtual IReadOnlyDictionary<string, StoredTensor> Tensors(Checkpoint checkpoint) => checkpoint.Tensors;

    /// <summary>
    /// Names that releases of the reference have given a module (a tensor's name without ".weight"), the checkpoint's own first: a LoRA
    /// adapter keeps the name of the release that trained it.
    /// </summary>
    public virtual IReadOnlyList<string> ModuleNames(string module) => [module];

    /// <summary>Name of the output head where config.json says that it is the token embedding: a file may hold it all the same. Null where it is a weight of its own.</summary>
    public virtual string? TiedHead => null;

    /// <summary>Whether the checkpoint may hold this tensor although nothing reads it.</summary>
    public virtual bool Ignores(string tensor) => false;
}

/// <summary>Sizes of a decoder: layers, vocabulary, hidden size D, key/value heads K, head size d.</summary>
/// <param name="Layers">Decoder layers.</param>
/// <param name="VocabSize">Rows of the token embedding and of the output head.</param>
/// <param name="HiddenSize">D.</param>
/// <param name="KeyValueHeads">K.</param>
/// <param name="HeadSize">d.</param>
/// <param name="CrossLength">Image features that each layer's cross-attention sees; 0 without cross-attention.</param>
internal sealed record DecoderShape(int Layers, int VocabSize, int HiddenSize, int KeyValueHeads, int HeadSize, int CrossLength = 0);

/// <summary>What the decoder graph is given, [B, T, …]: B captions, T tokens of each (the prompt, or one).</summary>
/// <param name="Embeddings">[B, T, D].</param>
/// <param name="RotaryOrNull">Rotary embedding of the tokens, where the family has one.</param>
/// <param name="KvCache">Keys and values of each layer.</param>
/// <param name="Cross">Keys and values of each layer's cross-attention, [B, K, features, d]; none without it.</param>
/// <param name="Lengths">How long each row's sequence is.</param>
/// <param name="LastTokens">int64 [B]: places of the last tokens in [B·T, D].</param>
/// <param name="SeesAll">bool [1]: whether the tokens of this run see each other both ways; only for families with a prefix.</param>
internal sealed record DecoderInputs(
    Tensor Embeddings, Rotary? RotaryOrNull, IReadOnlyList<KvCacheLayer> KvCache, IReadOnlyList<(Tensor Keys, Tensor Values)> Cross,
    SequenceLengths Lengths, Tensor LastTokens, Tensor? SeesAll)
{
    /// <summary>Rotary embedding of the tokens.</summary>
    public Rotary Rotary => RotaryOrNull!;
}

/// <summary>A caption's inputs.</summary>
/// <param name="Vision">Runs of the vision graph, in the order of their features in the prompt.</param>
/// <param name="PromptIds">The prompt, one placeholder for each image feature.</param>
/// <param name="Positions">Position of each prompt token.</param>
internal sealed record ModelInputs(IReadOnlyList<VisionRun> Vision, int[] PromptIds, PromptPositions Positions)
{
    /// <summary>A prompt whose tokens count 0, 1, 2, …</summary>
    public ModelInputs(IReadOnlyList<VisionRun> vision, int[] promptIds) : this(vision, promptIds, PromptPositions.Sequential(promptIds.Length)) { }

    /// <summary>Checks that the prompt has a place for each vector that the vision tower makes; cross-attention needs none.</summary>
    /// <exception cref="CheckpointException">Tokenizer and configuration are of different models.</exception>
    public void RequirePlaceholders(ModelFamily family)
    {
        int features = Vision.Sum(run => run.Features), placeholders = PromptIds.Count(family.IsPlaceholder);
        if (features != placeholders && family.Shape.CrossLength == 0)
            throw new CheckpointException(
                $"The prompt has {placeholders} placeholder tokens for {features} image features: tokenizer.json and config.json "
                + "(image_token_id) are of different models. Take both from one revision.");
    }

    /// <summary>The same with all numbers made, and the pixels given back.</summary>
    public ModelInputs Made()
    {
        try
        {
            return this with { Vision = [.. Vision.Select(run => run.Made())] };
        }
        finally
        {
            WithoutImages();
        }
    }

    /// <summary>The same without the images, whose memory is given back.</summary>
    public ModelInputs WithoutImages()
    {
        foreach (var run in Vision)
            run.Dispose();
        return this with { Vision = [] };
    }
}

/// <summary>One run of the vision graph.</summary>
/// <param name="Inputs">The graph's inputs by name.</param>
/// <param name="Features">Image features that the run gives.</param>
internal sealed record VisionRun(IReadOnlyDictionary<string, HostTensor> Inputs, int Features) : IDisposable
{
    /// <summary>The input that every family has: the values of the pixels, whatever else belongs to them.</summary>
    public const string Pixels = "pixel_values";

    /// <summary>Makes runs one after another; if one cannot be made, those before it give their pixels back.</summary>
    /// <param name="make">Adds them to the list.</param>
    public static List<VisionRun> MakeAll(Action<List<VisionRun>> make)
    {
        var runs = new List<VisionRun>();
        try
        {
            make(runs);
            return runs;
        }
        catch
        {
            runs.ForEach(run => run.Dispose());
            throw;
        }
    }

    /// <summary>Values of its pixels: what its workspace is proportional to.</summary>
    public long Values => Inputs[Pixels].Length;

    /// <summary>The same with all numbers made.</summary>
    public VisionRun Made() => this with { Inputs = Inputs.ToDictionary(input => input.Key, input => input.Value.Made()) };

    /// <summary>Gives the pixels back.</summary>
    public void Dispose()
    {
        foreach (var tensor in Inputs.Values)
            tensor.Dispose();
    }
}

/// <summary>Positions of a prompt's tokens.</summary>
/// <param name="Axes">For each axis of the rotary embedding, the position of each token.</param>
/// <param name="Next">Position of the first generated token, the same on every axis; it grows by one with each further token.</param>
internal sealed record PromptPositions(int[][] Axes, int Next)
{
    public static PromptPositions Sequential(int length) => new([[.. Enumerable.Range(0, length)]], length);

    /// <summary>The same with generated tokens after the prompt.</summary>
    public PromptPositions Extend(int tokens) =>
        new([.. Axes.Select(axis => (int[])[.. axis, .. Enumerable.Range(Next, tokens)])], Next + tokens);
}
