using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Tensor = MedVlm.Graphs.Tensor;

namespace MedVlm.Tests.Graphs;

/// <summary>The attention words against the formula, at any head size: published models have 64 and more, small ones what they please.</summary>
public sealed class AttentionTests
{
    const int Rows = 2, Tokens = 3, Heads = 3, Slot = 8;

    [Theory]
    [InlineData(2), InlineData(4), InlineData(5), InlineData(8), InlineData(12), InlineData(16), InlineData(20), InlineData(64)]
    public void Causal_attention_sees_the_past_and_itself(int size)
    {
        var graph = new GraphBuilder("test");
        int width = Heads * size;
        var (q, k, v) = (Input(graph, "q", width), Input(graph, "k", width), Input(graph, "v", width));
        int cached = Attention.CachedHeadSize(size);
        Dim[] cacheShape = ["B", Heads, "S", cached];
        graph.OutputOf("present_key", ElementType.Float32, cacheShape);
        graph.OutputOf("present_value", ElementType.Float32, cacheShape);
        var cache = new KvCacheLayer(
            graph.Input("past_key", ElementType.Float32, cacheShape), graph.Input("past_value", ElementType.Float32, cacheShape), "present_key",
            "present_value");
        var lengths = new SequenceLengths(graph.Input("past", ElementType.Int32, "B"), graph.Input("total", ElementType.Int32, 1));
        graph.Output("y", Attention.Causal(q, k, v, cache, lengths, Heads, Heads), ElementType.Float32, "B", "T", width);

        var random = new Random(size);
        var (qs, ks, vs) = (Values(random, width), Values(random, width), Values(random, width));
        var empty = new float[Rows * Heads * Slot * cached];
        var y = Run(graph,
            ("q", Value(qs, Rows, Tokens, width)), ("k", Value(ks, Rows, Tokens, width)), ("v", Value(vs, Rows, Tokens, width)),
            ("past_key", Value(empty, Rows, Heads, Slot, cached)), ("past_value", Value(empty, Rows, Heads, Slot, cached)),
            ("past", NamedOnnxValue.CreateFromTensor("past", new DenseTensor<int>(new[] { Tokens - 1, Tokens - 1 }, [Rows]))),
            ("total", NamedOnnxValue.CreateFromTensor("total", new DenseTensor<int>(new[] { Tokens }, [1]))));

        Near(Formula(qs, size, Tokens, causal: true, (b, h, t, i) => (ks[At(b, t, h, i, size)], vs[At(b, t, h, i, size)])), y);
    }

    [Theory]
    [InlineData(2), InlineData(4), InlineData(5), InlineData(8), InlineData(12), InlineData(16), InlineData(20), InlineData(64)]
    public void Cross_attention_sees_all_features_of_its_row(int size)
    {
        const int Features = 5;
        var graph = new GraphBuilder("test");
        int width = Heads * size;
        var q = Input(graph, "q", width);
        Dim[] shape = ["B", Features, width];
        var (k, v) = (graph.Input("k", ElementType.Float32, shape), graph.Input("v", ElementType.Float32, shape));
        graph.Output("y", Attention.Cross(q, (k.SplitHeads(Heads), v.SplitHeads(Heads)), Heads), ElementType.Float32, "B", "T", width);

        var random = new Random(size);
        var (qs, ks, vs) = (Values(random, width), Values(random, width, Features), Values(random, width, Features));
        var y = Run(graph,
            ("q", Value(qs, Rows, Tokens, width)), ("k", Value(ks, Rows, Features, width)), ("v", Value(vs, Rows, Features, width)));

        int Place(int b, int h, int t, int i) => ((b * Features + t) * Heads + h) * size + i;
        Near(Formula(qs, size, Features, causal: false, (b, h, t, i) => (ks[Place(b, h, t, i)], vs[Place(b, h, t, i)])), y);
    }

    static Tensor Input(GraphBuilder graph, string name, int width) => graph.Input(name, ElementType.Float32, "B", "T", width);

    static float[] Values(Random random, int width, int tokens = Tokens) =>
        [.. Enumerable.Range(0, Rows * tokens * width).Select(_ => (float)(random.NextDouble() * 4 - 2))];

    static int At(int row, int token, int head, int i, int size) => ((row * Tokens + token) * Heads + head) * size + i;

    /// <summary>softmax(q·k / sqrt(d))·v, in double.</summary>
    static float[] Formula(float[] q, int size, int keys, bool causal, Func<int, int, int, int, (float Key, float Value)> at)
    {
        var result = new float[q.Length];
        for (int b = 0; b < Rows; b++)
            for (int t = 0; t < Tokens; t++)
                for (int h = 0; h < Heads; h++)
                {
                    int seen = causal ? t + 1 : keys;
                    var weights = Enumerable.Range(0, seen).Select(key => Math.Exp(
                        Enumerable.Range(0, size).Sum(i => (double)q[At(b, t, h, i, size)] * at(b, h, key, i).Key) / Math.Sqrt(size))).ToArray();
                    for (int i = 0; i < size; i++)
                        result[At(b, t, h, i, size)] = (float)(Enumerable.Range(0, seen).Sum(key => weights[key] * at(b, h, key, i).Value) / weights.Sum());
                }
        return result;
    }

    static NamedOnnxValue Value(float[] data, params int[] shape) => NamedOnnxValue.CreateFromTensor("", new DenseTensor<float>(data, shape));

    static float[] Run(GraphBuilder graph, params (string Name, NamedOnnxValue Value)[] inputs)
    {
        foreach (var (name, value) in inputs)
            value.Name = name;
        using var session = new InferenceSession(graph.ToBytes(_ => throw new System.Diagnostics.UnreachableException()));
        using var results = session.Run([.. inputs.Select(input => input.Value)], ["y"]);
        return [.. results.Single().AsEnumerable<float>()];
    }

    static void Near(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 1e-5f);   // sums in FP32
    }
}
