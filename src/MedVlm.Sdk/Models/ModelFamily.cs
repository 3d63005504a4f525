using MedVlm.Graphs;
using MedVlm.Imaging;

namespace MedVlm.Models;

/// <summary>
/// One model family: how an image and a question become the model's inputs, and what the model computes. Each family is one file
/// that reads like its paper; everything else (sessions, KV cache, sampling, scheduling) is the engine's and the same for all.
/// </summary>
internal abstract class ModelFamily
{
    /// <summary>Tower, projector: the graph from <see cref="VisionRun"/> inputs to image features, [.., features, D].</summary>
    public abstract Tensor Vision(GraphBuilder graph, Weights w);

    /// <summary>Embeddings with the image features merged in [B, T, D] to the logits of each caption's last token [B, vocab].</summary>
    public abstract Tensor Decoder(DecoderInputs input, Weights w);

    /// <summary>The sizes that the engine needs to lay out inputs and KV cache.</summary>
    public abstract DecoderShape Shape { get; }

    /// <summary>The angles of the decoder's rotary embedding.</summary>
    public abstract RotarySpec Rotary { get; }

    /// <summary>The token that stands for one image feature in a prompt.</summary>
    public abstract int ImageTokenId { get; }

    /// <summary>Tokens that end a caption where generation_config.json names none.</summary>
    public abstract IReadOnlyList<int> DefaultStopTokenIds { get; }

    /// <summary>Path of the token embedding [vocab, D], which stays on the host.</summary>
    public abstract Weights TokenEmbedding(Weights w);

    /// <summary>Images and the user's text to the vision graph's inputs and the prompt.</summary>
    /// <exception cref="ImageException">The model cannot take an image of this shape.</exception>
    public abstract ModelInputs Prepare(IReadOnlyList<RgbImage> images, string instruction, ImageDetail detail);

    /// <summary>Position of each prompt token, on each of the rotary embedding's axes. By default 0, 1, 2, … on one axis.</summary>
    public virtual PromptPositions Positions(ReadOnlySpan<int> promptIds, ModelInputs inputs) => PromptPositions.Sequential(promptIds.Length);
}

/// <summary>Sizes of a decoder: layers, vocabulary, hidden size D, query heads H, key/value heads K, head size d.</summary>
internal sealed record DecoderShape(int Layers, int VocabSize, int HiddenSize, int KeyValueHeads, int HeadSize);

/// <summary>What the decoder graph is given, [B, T, …]: B captions, T tokens of each (the prompt, or one).</summary>
internal sealed record DecoderInputs(
    Tensor Embeddings, Rotary Rotary, IReadOnlyList<KvCacheLayer> KvCache, SequenceLengths Lengths, Tensor LastTokens);

/// <summary>A caption's inputs: runs of the vision graph, in the order of their features in the prompt, and the prompt's text.</summary>
/// <param name="Vision">Runs of the vision graph.</param>
/// <param name="Prompt">The prompt, one placeholder token for each image feature.</param>
internal sealed record ModelInputs(IReadOnlyList<VisionRun> Vision, PromptText Prompt);

/// <summary>A prompt after the chat template.</summary>
/// <param name="Text">The whole text, image placeholders expanded.</param>
/// <param name="UserText">The part that the user wrote: special tokens in it are ordinary text.</param>
internal sealed record PromptText(string Text, Range UserText);

/// <summary>One run of the vision graph.</summary>
/// <param name="Inputs">The graph's inputs by name.</param>
/// <param name="Features">Image features that the run gives.</param>
internal sealed record VisionRun(IReadOnlyDictionary<string, HostTensor> Inputs, int Features);

/// <summary>A tensor in host memory, row-major.</summary>
internal sealed record HostTensor(Array Data, long[] Shape);

/// <summary>Positions of a prompt's tokens.</summary>
/// <param name="Axes">For each axis of the rotary embedding, the position of each token.</param>
/// <param name="Next">Position of the first generated token, the same on every axis; it grows by one with each further token.</param>
internal sealed record PromptPositions(int[][] Axes, int Next)
{
    public static PromptPositions Sequential(int length) => new([[.. Enumerable.Range(0, length)]], length);
}
