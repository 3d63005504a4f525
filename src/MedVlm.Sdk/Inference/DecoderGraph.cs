using MedVlm.Graphs;
using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>
/// The decoder graph of any family: the engine's inputs around what the family computes, and greedy choice at its end, so that a step
/// hands back two numbers for each caption rather than its logits.
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

    public static GraphBuilder Build(ModelFamily family, Weights weights)
    {
        var (graph, shape) = (new GraphBuilder("decoder"), family.Shape);

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

        var logits = family.Decoder(input, weights);
        graph.Output(Logits, logits, ElementType.Float32, "B", shape.VocabSize);
        graph.Output(Next, graph.Node("ArgMax", [logits], 0, [("axis", -1), ("keepdims", 0)]), ElementType.Int64, "B");

        // log softmax of the likeliest token: max - log(sum(exp)).
        var axis = graph.Constant(-1);
        var best = graph.Node("ReduceMax", [logits, axis], 0, [("keepdims", 0)]);
        var total = graph.Node("ReduceLogSumExp", [logits, axis], 0, [("keepdims", 0)]);
        graph.Output(LogProbability, best - total, ElementType.Float32, "B");
        return graph;
    }

    static KvCacheLayer Layer(GraphBuilder graph, DecoderShape shape, int layer)
    {
        Dim[] size = ["B", shape.KeyValueHeads, "S", Attention.CachedHeadSize(shape.HeadSize)];
        graph.OutputOf(PresentKey(layer), ElementType.Float32, size);
        graph.OutputOf(PresentValue(layer), ElementType.Float32, size);
        return new KvCacheLayer(
            graph.Input(PastKey(layer), ElementType.Float32, size), graph.Input(PastValue(layer), ElementType.Float32, size),
            PresentKey(layer), PresentValue(layer));
    }

    static (Tensor Keys, Tensor Values) Cross(GraphBuilder graph, DecoderShape shape, int layer)
    {
        Dim[] size = ["B", shape.KeyValueHeads, shape.CrossLength, shape.HeadSize];
        return (graph.Input(CrossKey(layer), ElementType.Float32, size), graph.Input(CrossValue(layer), ElementType.Float32, size));
    }
}
