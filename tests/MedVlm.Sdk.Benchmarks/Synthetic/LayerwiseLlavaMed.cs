using System.Diagnostics;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Benchmarks.Synthetic;

/// <summary>
/// LLaVA-Med in FP32 with one part in memory at a time: the vision tower, then each decoder layer, then the head, a session of its own for
/// each. 30 GB of weights pass through a machine that has room for one layer; every step reads them all.
/// </summary>
internal sealed class LayerwiseLlavaMed : IDisposable
{
    const string Hidden = "hidden", Embeddings = "embeddings", Cos = "cos", Sin = "sin", RotaryRows = "rotary_rows", Past = "past_lengths",
        Total = "total_length", PastKey = "past_key", PastValue = "past_value", PresentKey = "present_key", PresentValue = "present_value",
        LastHidden = "last_hidden", Logits = "logits";

    readonly Checkpoint _checkpoint;
    readonly LlavaMed _family;
    readonly WeightMemory _memory;
    readonly Weights _weights;
    readonly GraphBuilder _vision;
    readonly TokenEmbeddings _embeddings;
    readonly RuntimeSettings _settings;

    public LayerwiseLlavaMed(string folder, RuntimeSettings settings)
    {
        OnnxRuntimeEnvironment.Ensure();
        _settings = settings;
        _checkpoint = Checkpoint.Open(folder);
        _family = (LlavaMed)ModelRegistry.Create(new ModelSource(_checkpoint));

        var tensors = _family.Tensors(_checkpoint);
        var names = tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo(tensor.Value.File.FileName, tensor.Value.Shape));
        var graphs = ModelGraphs.Build(_family, names);
        _vision = graphs.Vision;
        _embeddings = new TokenEmbeddings(tensors[graphs.TokenEmbedding], null);
        _memory = new WeightMemory(tensors, new Dictionary<string, LoraDelta>());
        _weights = new WeightCatalog(names).Root;
    }

    /// <summary>Time that sessions took to be made, their weights read, widened and packed.</summary>
    public TimeSpan Loading { get; private set; }

    /// <summary>Time that they ran.</summary>
    public TimeSpan Running { get; private set; }

    public void RestartClocks() => (Loading, Running) = (TimeSpan.Zero, TimeSpan.Zero);

    /// <summary>The inputs of an image and a question.</summary>
    public ModelInputs Prepare(RgbImage image, string prompt) => _family.Prepare([image], prompt, new CaptionOptions());

    /// <summary>Image features [P, D].</summary>
    public float[] Vision(ModelInputs inputs)
    {
        using var session = Load(_vision);
        using var runOptions = new RunOptions();
        return Timed(() => VisionGraph.Run(session, _family, inputs.Vision, null, 0, runOptions, CancellationToken.None));
    }

    /// <summary>Logits of each greedy step, the prompt's first; as many as are taken. Stop tokens are taken as any other.</summary>
    public IEnumerable<float[]> Steps(ModelInputs inputs, float[] imageFeatures, int most)
    {
        var shape = _family.Shape;
        int length = inputs.PromptIds.Length;
        using var memory = DeviceMemory.Host();
        using var cache = new KvCache(shape, 1, length + most, ElementType.Float32, memory);

        var hidden = new float[length * shape.HiddenSize];
        ReadOnlySpan<float> features = imageFeatures;
        _embeddings.Merge(_family, inputs.PromptIds, 0, ref features, hidden);
        var logits = Pass(hidden, 0, cache);
        yield return logits;

        for (int past = length; past < length + most - 1; past++)
        {
            var row = new float[shape.HiddenSize];
            _embeddings.Row(Likeliest(logits), past, row);
            yield return logits = Pass(row, past, cache);
        }
    }

    /// <summary>The token that greedy choice takes: the first of the largest.</summary>
    public static int Likeliest(float[] logits) => Array.IndexOf(logits, logits.Max());

    public void Dispose()
    {
        _memory.Dispose();
        _checkpoint.Dispose();
    }

    /// <summary>Tokens through all layers.</summary>
    /// <param name="hidden">[T, D]: embeddings, and each layer's result in turn.</param>
    /// <param name="past">Tokens before them, which the cache holds.</param>
    /// <param name="cache">Keys and values.</param>
    /// <returns>Logits of the last token.</returns>
    float[] Pass(float[] hidden, int past, KvCache cache)
    {
        var (shape, rotary) = (_family.Shape, _family.Rotary!);
        int tokens = hidden.Length / shape.HiddenSize;
        var (cos, sin) = (new float[tokens * rotary.Angles], new float[tokens * rotary.Angles]);
        rotary.Fill(PromptPositions.Sequential(past + tokens), past, cos, sin);
        long[] rows = [.. Enumerable.Range(0, tokens).Select(row => (long)row)];

        for (int layer = 0; layer < shape.Layers; layer++)
        {
            using var session = Load(LayerGraph(layer));
            var (keys, values) = (cache.Keys(layer, 0, 1), cache.Values(layer, 0, 1));
            var result = new float[hidden.Length];
            Run(
                session,
                [
                    (Embeddings, Value(hidden, 1, tokens, shape.HiddenSize)), (Cos, Value(cos, tokens, rotary.Angles)), (Sin, Value(sin, tokens, rotary.Angles)),
                    (RotaryRows, Value(rows, 1, tokens)), (Past, Value(new[] { past + tokens - 1 }, 1)), (Total, Value(new[] { past + tokens }, 1)),
                    (PastKey, keys), (PastValue, values),
                ],
                [(Hidden, Value(result, 1, tokens, shape.HiddenSize)), (PresentKey, keys), (PresentValue, values)]);
            hidden = result;
        }

        using var head = Load(HeadGraph());
        var logits = new float[shape.VocabSize];
        Run(head, [(LastHidden, Value(hidden[^shape.HiddenSize..], 1, shape.HiddenSize))], [(Logits, Value(logits, 1, shape.VocabSize))]);
        return logits;
    }

    /// <summary>Hidden states [B, T, D] to those behind a layer.</summary>
    GraphBuilder LayerGraph(int layer)
    {
        var (graph, shape, angles) = (new GraphBuilder("layer"), _family.Shape, _family.Rotary!.Angles);
        Dim[] cache = ["B", shape.KeyValueHeads, "S", Attention.CachedHeadSize(shape.HeadSize)];
        graph.OutputOf(PresentKey, ElementType.Float32, cache);
        graph.OutputOf(PresentValue, ElementType.Float32, cache);
        var input = new DecoderInputs(
            graph.Input(Embeddings, ElementType.Float32, "B", "T", shape.HiddenSize),
            new Rotary(
                graph.Input(Cos, ElementType.Float32, "N", angles), graph.Input(Sin, ElementType.Float32, "N", angles),
                graph.Input(RotaryRows, ElementType.Int64, "B", "T")),
            [new KvCacheLayer(
                graph.Input(PastKey, ElementType.Float32, cache), graph.Input(PastValue, ElementType.Float32, cache), PresentKey, PresentValue)],
            [],
            new SequenceLengths(graph.Input(Past, ElementType.Int32, "B"), graph.Input(Total, ElementType.Int32, 1)),
            LastTokens: null!,   // only the head looks at it
            SeesAll: null);

        var output = _family.DecoderLayer(input.Embeddings, _weights[$"model.layers.{layer}"], input, input.KvCache[0]);
        graph.Output(Hidden, output, ElementType.Float32, "B", "T", shape.HiddenSize);
        return graph;
    }

    /// <summary>Hidden states of last tokens [B, D] to logits [B, vocab].</summary>
    GraphBuilder HeadGraph()
    {
        var (graph, shape) = (new GraphBuilder("head"), _family.Shape);
        graph.Output(Logits, _family.Head(graph.Input(LastHidden, ElementType.Float32, "B", shape.HiddenSize), _weights), ElementType.Float32, "B", shape.VocabSize);
        return graph;
    }

    GraphSession Load(GraphBuilder graph)
    {
        long start = Stopwatch.GetTimestamp();
        var session = new GraphSession(graph, _memory, _settings);
        Loading += Stopwatch.GetElapsedTime(start);
        return session;
    }

    /// <summary>Runs a graph, and disposes what it was given.</summary>
    void Run(GraphSession session, (string Name, OrtValue Value)[] inputs, (string Name, OrtValue Value)[] outputs)
    {
        using var binding = session.Session.CreateIoBinding();
        using var runOptions = new RunOptions();
        foreach (var (name, value) in inputs)
            binding.BindInput(name, value);
        foreach (var (name, value) in outputs)
            binding.BindOutput(name, value);
        Timed(() =>
        {
            session.Session.RunWithBinding(runOptions, binding);
            return 0;
        });
        foreach (var value in inputs.Concat(outputs).Select(named => named.Value).Distinct())
            value.Dispose();
    }

    T Timed<T>(Func<T> work)
    {
        long start = Stopwatch.GetTimestamp();
        var result = work();
        Running += Stopwatch.GetElapsedTime(start);
        return result;
    }

    static OrtValue Value<T>(T[] data, params long[] shape) where T : unmanaged => OrtValue.CreateTensorValueFromMemory(data, shape);
}
