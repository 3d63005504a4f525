using System.Diagnostics;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Inference;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>An encoder's graph up to one layer, ready to run on texts of one length at a time: no padding, so no mask, and a text's states do not depend on others.</summary>
internal sealed class EncoderSession : IDisposable
{
    const string Embeddings = "embeddings", Hidden = "hidden_states";
    const string RelativeRows = "relative_rows", FromContent = "relative_from_content", ToContent = "relative_to_content";

    readonly TextEncoder _encoder;
    readonly Checkpoint _checkpoint;
    readonly WeightMemory _weights;
    readonly GraphSession _graph;
    readonly TokenEmbeddings _embeddings;

    /// <param name="encoder">The family.</param>
    /// <param name="checkpoint">Its files; disposed with the session.</param>
    /// <param name="vocabularySize">One more than the tokenizer's largest id.</param>
    /// <param name="layer">The layer whose output is the result; nothing behind it is built.</param>
    /// <param name="settings">How ONNX Runtime is to run the graph.</param>
    public EncoderSession(TextEncoder encoder, Checkpoint checkpoint, int vocabularySize, int layer, RuntimeSettings settings)
    {
        (_encoder, _checkpoint) = (encoder, checkpoint);
        var catalog = new WeightCatalog(
            checkpoint.Tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo(tensor.Value.File.FileName, tensor.Value.Shape)));
        var tokens = checkpoint.Tensors[encoder.TokenEmbedding(catalog.Root)];
        if (vocabularySize > tokens.Shape[0])
            throw new CheckpointException(
                $"The tokenizer has ids up to {vocabularySize - 1}, but config.json {tokens.Shape[0]} tokens (vocab_size). "
                + "Tokenizer and config.json are of different models: take all files from one revision.");
        _embeddings = new TokenEmbeddings(
            tokens,
            encoder.PositionEmbedding(catalog.Root) is { } positions ? checkpoint.Tensors[positions] : null);

        _weights = new WeightMemory(checkpoint.Tensors, new Dictionary<string, LoraDelta>());
        try
        {
            _graph = new GraphSession(Build(encoder, catalog.Root, layer), _weights, settings);
        }
        catch
        {
            _weights.Dispose();
            throw;
        }
    }

    /// <summary>The graph of any family: what it takes from the host, and the hidden states that it gives.</summary>
    internal static GraphBuilder Build(TextEncoder encoder, Weights weights, int layer)
    {
        var graph = new GraphBuilder("encoder");
        var embeddings = graph.Input(Embeddings, ElementType.Float32, "B", "T", encoder.EmbeddingSize);
        var distances = encoder.RelativeRow is null || layer == 0
            ? null
            : new RelativeDistances(
                graph.Input(RelativeRows, ElementType.Int64, "S"), graph.Input(FromContent, ElementType.Int64, "T", "T"),
                graph.Input(ToContent, ElementType.Int64, "T", "T"));
        graph.Output(Hidden, encoder.Hidden(embeddings, distances, weights, layer), ElementType.Float32, "B", "T", encoder.HiddenSize);
        return graph;
    }

    /// <summary>Runs texts of one length: their hidden states [B, T, D].</summary>
    /// <param name="texts">Ids, of one length each.</param>
    /// <param name="cancellationToken">Ends the run at the next operator.</param>
    public float[] Run(IReadOnlyList<int[]> texts, CancellationToken cancellationToken)
    {
        int length = texts[0].Length, width = _encoder.EmbeddingSize;
        var embeddings = new float[checked(texts.Count * length * width)];
        for (int text = 0; text < texts.Count; text++)
            for (int t = 0; t < length; t++)
                _embeddings.Row(texts[text][t], _encoder.FirstPosition + t, embeddings.AsSpan((text * length + t) * width, width));

        using var options = new RunOptions();
        using var stop = cancellationToken.Register(() => options.Terminate = true);
        var inputs = new Dictionary<string, OrtValue>();
        var hidden = new float[checked(texts.Count * length * _encoder.HiddenSize)];
        try
        {
            inputs.Add(Embeddings, OrtValue.CreateTensorValueFromMemory(embeddings, [texts.Count, length, width]));
            foreach (var name in _graph.Session.InputNames.Where(name => name == RelativeRows))
            {
                var distances = HostDistances.Of(length, _encoder.RelativeRow ?? throw new UnreachableException());
                inputs.Add(name, OrtValue.CreateTensorValueFromMemory(distances.Rows, [distances.Rows.Length]));
                inputs.Add(FromContent, OrtValue.CreateTensorValueFromMemory(distances.FromContent, [length, length]));
                inputs.Add(ToContent, OrtValue.CreateTensorValueFromMemory(distances.ToContent, [length, length]));
            }
            using var output = OrtValue.CreateTensorValueFromMemory(hidden, [texts.Count, length, _encoder.HiddenSize]);
            _graph.Session.Run(options, [.. inputs.Keys], [.. inputs.Values], [Hidden], [output]);
        }
        catch (OnnxRuntimeException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw new MedVlmException($"ONNX Runtime cannot run the encoder on {texts.Count} texts of {length} tokens. {e.Message}", e);
        }
        finally
        {
            foreach (var input in inputs.Values)
                input.Dispose();
        }
        return hidden;
    }

    public void Dispose()
    {
        _graph.Dispose();
        _weights.Dispose();
        _checkpoint.Dispose();
    }
}
