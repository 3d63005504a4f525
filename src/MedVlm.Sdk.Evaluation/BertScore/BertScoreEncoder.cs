using MedVlm.Checkpoints;
using MedVlm.Evaluation.BertScore;
using MedVlm.Evaluation.BertScore.Encoders;
using MedVlm.Inference;

namespace MedVlm.Evaluation;

/// <summary>The text encoder behind BERTScore, loaded from its Hugging Face checkpoint: BERT, RoBERTa, DeBERTa, DeBERTa-v2 and v3.</summary>
/// <remarks>Safe to call from many threads, and to share among several <see cref="BertScorer"/>s. Dispose it after the last of them: it holds the weights, in memory of its own or mapped.</remarks>
public sealed class BertScoreEncoder : IDisposable, IAsyncDisposable
{
    readonly EncoderSession _session;
    long _textsEncoded;

    BertScoreEncoder(string model, int layer, TextEncoder encoder, EncoderTokenizer tokenizer, EncoderSession session)
    {
        (Model, Layer, Layers, HiddenSize) = (model, layer, encoder.Layers, encoder.HiddenSize);
        (Tokenizer, _session) = (tokenizer, session);
    }

    /// <summary>What <see cref="LoadAsync"/> was given.</summary>
    public string Model { get; }

    /// <summary>The layer whose hidden states are compared; 0 is the embeddings.</summary>
    public int Layer { get; }

    /// <summary>Layers that the checkpoint has.</summary>
    public int Layers { get; }

    /// <summary>Size of a token's hidden state.</summary>
    public int HiddenSize { get; }

    /// <summary>Tokens of a text that are looked at, the two control tokens included; the rest is cut off, as in the reference.</summary>
    public int MaxTokens => Tokenizer.MaxTokens;

    internal EncoderTokenizer Tokenizer { get; }

    /// <summary>Reads a checkpoint (config.json, safetensors, tokenizer files) and makes its graph up to the layer. Nothing is downloaded.</summary>
    /// <param name="model">A folder, or a hub id in the local Hugging Face cache, such as <c>microsoft/deberta-xlarge-mnli</c>.</param>
    /// <param name="layer">The layer whose hidden states are compared. Default: null, the one that bert-score takes of the model of this name; a model that it does not list needs a number.</param>
    /// <param name="threads">Threads of an operator. Default: null, one for each physical core.</param>
    /// <param name="cancellationToken">Gives up before the weights are taken into memory.</param>
    /// <exception cref="ModelNotFoundException">The model is not on this machine.</exception>
    /// <exception cref="CheckpointException">A file is missing or damaged, or weights and config.json do not belong together.</exception>
    /// <exception cref="UnsupportedModelException">The model is of another family, or has a setting that is not computed here.</exception>
    /// <exception cref="ArgumentException">The model has no such layer, or no layer is given and none is known.</exception>
    public static Task<BertScoreEncoder> LoadAsync(
        string model, int? layer = null, int? threads = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(model);
        if (threads is { } count)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count, nameof(threads));
        return Task.Run(() => Load(model, layer, new RuntimeSettings(threads), cancellationToken), cancellationToken);
    }

    static BertScoreEncoder Load(string model, int? layer, RuntimeSettings settings, CancellationToken cancellationToken)
    {
        OnnxRuntimeEnvironment.Ensure();
        var checkpoint = Checkpoint.Open(ModelLocator.Find(model), autoClass: "AutoModel");
        try
        {
            var encoder = EncoderRegistry.Create(checkpoint);
            int chosen = layer ?? ScoringLayers.Find(model) ?? throw new ArgumentException(
                $"BERTScore compares the hidden states of one layer, and none is known for {model}: give layer (1 to {encoder.Layers}; its authors' choice, or {encoder.Layers} for the last).",
                nameof(layer));
            if (chosen < 0 || chosen > encoder.Layers)
                throw new ArgumentOutOfRangeException(
                    nameof(layer), chosen, $"{model} has {encoder.Layers} layers (num_hidden_layers of config.json): give a layer from 0, the embeddings, to {encoder.Layers}.");

            var tokenizer = EncoderTokenizer.Load(checkpoint, encoder);
            cancellationToken.ThrowIfCancellationRequested();
            return new BertScoreEncoder(model, chosen, encoder, tokenizer, new EncoderSession(encoder, checkpoint, tokenizer.VocabularySize, chosen, settings));
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Texts that have been encoded so far.</summary>
    internal long TextsEncoded => Interlocked.Read(ref _textsEncoded);

    /// <summary>Hidden states [B, T, D] of texts that have one number of tokens.</summary>
    internal float[] Encode(IReadOnlyList<int[]> texts, CancellationToken cancellationToken)
    {
        var states = _session.Run(texts, cancellationToken);
        Interlocked.Add(ref _textsEncoded, texts.Count);
        return states;
    }

    /// <summary>Frees the session and the weights.</summary>
    public void Dispose() => _session.Dispose();

    /// <inheritdoc cref="Dispose"/>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }
}
