using MedVlm.Graphs;
using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>
/// The decoder graph of any family: the engine's inputs around what the family computes, and greedy choice at its end, so that a step
/// hands back two numbers for each caption rather than its logits. The choice is made in FP32 whatever the layers compute in.
/// </summary>
internal static class DecoderGraph
{
    public const string
        Embeddings = "embeddings", RotaryCos = "rotary_cos", RotarySin = "rotary_sin", RotaryRows = "rotary_rows",
        PastLengths = "past_lengths", TotalLength = "total_length", LastTokens = "last_tokens", SeesAll = "sees_all",
        Logits = "logits", Next = "next_token", LogProbability = "log_probability";

    public static string PastKey(int layer) => $"past_key.{layer}";

    public static string PastValue(int layer) => $"past_value.{layer}";

    public static string PresentKey(int layer) => $"present_key.{layer}";

    public static string PresentValue(int layer) => $"present_value.{layer}";

    public static string CrossKey(int layer) => $"cross_key.{layer}";

    public static string CrossValue(int layer) => $"cross_value.{layer}";

    public static GraphBuilder Build(ModelFamily family, Weights weights, GraphFormat format)
    {
        var (graph, shape) = (new GraphBuilder("decoder", format), family.Shape);

        var input = new DecoderInputs(
            graph.Input(Embeddings, ElementType.Float32, "B", "T", shape.HiddenSize),
            family.Rotary is { } rotary
                ? new Rotary(
                    graph.Input(RotaryCos, ElementType.Float32, "N", rotary.Angles),
                    graph.Input(RotarySin, ElementType.Float32, "N", rotary.Angles),
                    graph.Input(RotaryRows, ElementType.Int64, "B", "T"))
                : null,
            [.. Enumerable.Range(0, shape.Layers).Select(layer => Layer(graph, shape, layer))],
            [.. Enumerable.Range(0, shape.CrossLength > 0 ? shape.Layers : 0).Select(layer => Cross(graph, shape, layer))],
            new SequenceLengths(
                graph.Input(PastLengths, ElementType.Int32, "B"),
                graph.Input(TotalLength, ElementType.Int32, 1)),
            graph.Input(LastTokens, ElementType.Int64, "B"),
            family.PrefixLength > 0 ? graph.Input(SeesAll, ElementType.Bool, 1) : null);

        var logits = graph.ToHost(family.Decoder(input, weights));
        graph.Output(Logits, logits, ElementType.Float32, "B", shape.VocabSize);

        // Of equal logits the first, as arg-max has it; ArgMax itself has no CUDA kernel at this opset.
        var best = graph.Node("TopK", [logits, graph.Constant(1)], [1, 1], [("axis", -1)]);
        graph.Output(Next, best[1], ElementType.Int64, "B", 1);

        // log softmax of the likeliest token: max - log(sum(exp)).
        var total = graph.Node("ReduceLogSumExp", [logits, graph.Constant(-1)], 1, [("keepdims", 1)]);
        graph.Output(LogProbability, best[0] - total, ElementType.Float32, "B", 1);
        return graph;
    }

    static KvCacheLayer Layer(GraphBuilder graph, DecoderShape shape, int layer)
    {
        Dim[] size = ["B", shape.KeyValueHeads, "S", KvCache.RowLength(shape.HeadSize, graph.Cache)];
        graph.OutputOf(PresentKey(layer), graph.Cache, size);
        graph.OutputOf(PresentValue(layer), graph.Cache, size);
        return new KvCacheLayer(
            graph.Input(PastKey(layer), graph.Cache, size), graph.Input(PastValue(layer), graph.Cache, size),
            PresentKey(layer), PresentValue(layer));
    }

    static (Tensor Keys, Tensor Values) Cross(GraphBuilder graph, DecoderShape shape, int layer)
    {
        Dim[] size = ["B", shape.KeyValueHeads, shape.CrossLength, shape.HeadSize];
        return (graph.Input(CrossKey(layer), graph.Floats, size), graph.Input(CrossValue(layer), graph.Floats, size));
    }
}
