using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Tests.Graphs;

/// <summary>The sliding window of <see cref="Attention.Causal"/>, held against the mask of Mistral's reference.</summary>
public sealed class SlidingWindowTests
{
    const int Tokens = 12, Heads = 2, HeadSize = 8, Width = Heads * HeadSize;

    /// <summary>Position i sees j where i - window &lt; j &lt;= i: `window` positions, its own included.</summary>
    [Theory]
    [InlineData(null), InlineData(1), InlineData(2), InlineData(5), InlineData(11), InlineData(12), InlineData(100)]
    public void Each_position_sees_a_window_of_itself_and_what_came_before(int? window)
    {
        var random = new Random(1);
        float[] q = Values(), k = Values(), v = Values();
        var expected = Attend(q, k, v, window ?? Tokens);

        // The whole as a prompt, and the last token as a decode step after a prompt of the others.
        Near(expected, Run(window, q, k, v, past: 0, tokens: Tokens));
        Near(expected[^Width..], Run(window, q, k, v, past: Tokens - 1, tokens: 1));

        float[] Values() => [.. Enumerable.Range(0, Tokens * Width).Select(_ => random.NextSingle() * 4 - 2)];
    }

    static float[] Attend(float[] q, float[] k, float[] v, int window)
    {
        var output = new float[Tokens * Width];
        for (int head = 0; head < Heads; head++)
            for (int i = 0; i < Tokens; i++)
            {
                int first = Math.Max(0, i - window + 1);
                var weights = Enumerable.Range(first, i + 1 - first).Select(j => Math.Exp(
                    Enumerable.Range(0, HeadSize).Sum(d => (double)q[i * Width + head * HeadSize + d] * k[j * Width + head * HeadSize + d])
                    / Math.Sqrt(HeadSize))).ToArray();
                for (int d = 0; d < HeadSize; d++)
                    output[i * Width + head * HeadSize + d] =
                        (float)weights.Select((weight, j) => weight / weights.Sum() * v[(first + j) * Width + head * HeadSize + d]).Sum();
            }
        return output;
    }

    static float[] Run(int? window, float[] q, float[] k, float[] v, int past, int tokens)
    {
        var graph = new GraphBuilder("attention");
        Dim[] cacheSize = [1, Heads, Tokens, HeadSize];
        graph.OutputOf("present_key", ElementType.Float32, cacheSize);
        graph.OutputOf("present_value", ElementType.Float32, cacheSize);
        var cache = new KvCacheLayer(
            graph.Input("past_key", ElementType.Float32, cacheSize), graph.Input("past_value", ElementType.Float32, cacheSize), "present_key", "present_value");
        Tensor New(string name) => graph.Input(name, ElementType.Float32, 1, "T", Width);
        var lengths = new SequenceLengths(graph.Input("past", ElementType.Int32, 1), graph.Input("total", ElementType.Int32, 1));
        graph.Output("output", Attention.Causal(New("q"), New("k"), New("v"), cache, lengths, Heads, Heads, window), ElementType.Float32, 1, "T", Width);

        using var session = new InferenceSession(graph.ToBytes(_ => default));
        using var pastKey = OrtValue.CreateTensorValueFromMemory(Cache(k), [1, Heads, Tokens, HeadSize]);
        using var pastValue = OrtValue.CreateTensorValueFromMemory(Cache(v), [1, Heads, Tokens, HeadSize]);
        using var output = OrtValue.CreateTensorValueFromMemory(new float[tokens * Width], [1, tokens, Width]);
        using var qs = OrtValue.CreateTensorValueFromMemory(q[(past * Width)..((past + tokens) * Width)], [1, tokens, Width]);
        using var ks = OrtValue.CreateTensorValueFromMemory(k[(past * Width)..((past + tokens) * Width)], [1, tokens, Width]);
        using var vs = OrtValue.CreateTensorValueFromMemory(v[(past * Width)..((past + tokens) * Width)], [1, tokens, Width]);
        using var pastLength = OrtValue.CreateTensorValueFromMemory(new[] { past + tokens - 1 }, [1]);
        using var total = OrtValue.CreateTensorValueFromMemory(new[] { past + tokens }, [1]);

        // Past and present in the same memory, as the engine binds them.
        using var binding = session.CreateIoBinding();
        foreach (var (name, value) in new[]
                 {
                     ("past_key", pastKey), ("past_value", pastValue), ("q", qs), ("k", ks), ("v", vs), ("past", pastLength), ("total", total),
                 })
            binding.BindInput(name, value);
        foreach (var (name, value) in new[] { ("output", output), ("present_key", pastKey), ("present_value", pastValue) })
            binding.BindOutput(name, value);
        using var options = new RunOptions();
        session.RunWithBinding(options, binding);
        return output.GetTensorDataAsSpan<float>().ToArray();

        // [T, H, d] to [H, T, d], the tokens before alone.
        float[] Cache(float[] values)
        {
            var cached = new float[Heads * Tokens * HeadSize];
            for (int token = 0; token < past; token++)
                for (int head = 0; head < Heads; head++)
                    values.AsSpan(token * Width + head * HeadSize, HeadSize).CopyTo(cached.AsSpan((head * Tokens + token) * HeadSize));
            return cached;
        }
    }

    static void Near(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 1e-5f);   // FP32 sums of a dozen terms
    }
}
