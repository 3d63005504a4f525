using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Kernels;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;
using Tensor = MedVlm.Graphs.Tensor;

namespace MedVlm.Tests.Kernels;

/// <summary>The attention words on integers, as ONNX Runtime runs them, against the formula.</summary>
public sealed class AttentionOperatorTests
{
    const int Slots = 3, Room = 160;

    public static TheoryData<int, int, int, int?> Shapes => new()
    {
        { 4, 4, 16, null }, { 6, 2, 32, null }, { 5, 1, 64, null }, { 4, 2, 24, 7 }, { 2, 2, 72, 40 },
    };

    /// <summary>Captions of different lengths in their slots: prompts of their own, then steps that all share.</summary>
    [Theory, MemberData(nameof(Shapes))]
    public void Causal_attention_sees_what_each_slot_has_been_given(int heads, int keyValueHeads, int size, int? window)
    {
        Processor.Needed();
        var random = new Random(heads * size);
        using var causal = new CausalSession(heads, keyValueHeads, size, window);
        int[] prompts = [121, 1, 34];
        for (int slot = 0; slot < Slots; slot++)
            causal.Run(slot, 1, prompts[slot], random);
        for (int step = 0; step < 5; step++)
            causal.Run(0, Slots, 1, random);
        causal.Run(1, 1, 3, random);   // several tokens behind what is there
        causal.Run(1, 2, 1, random);
    }

    [Fact]
    public void A_cache_that_is_not_bound_in_place_is_refused()
    {
        Processor.Needed();
        using var causal = new CausalSession(4, 4, 16, null);
        var error = Assert.Throws<OnnxRuntimeException>(() => causal.Run(0, 1, 2, new Random(1), inPlace: false));
        Assert.Contains("The KV cache is not bound to the memory that it came from.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_beyond_the_cache_is_refused()
    {
        Processor.Needed();
        using var causal = new CausalSession(4, 4, 16, null);
        var error = Assert.Throws<OnnxRuntimeException>(() => causal.Run(0, 1, Room + 1, new Random(1)));
        Assert.Contains("A KV cache of 160 tokens has no place for token 160.", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(100, 16), InlineData(7, 64), InlineData(300, 40)]
    public void Bidirectional_attention_sees_as_many_positions_as_there_are(int positions, int size)
    {
        Processor.Needed();
        const int Heads = 2, Rows = 3;
        int width = Heads * size;
        var random = new Random(size);
        float[] q = Values(random, Rows * positions * width), k = Values(random, q.Length), v = Values(random, q.Length);
        int[] lengths = [positions, 1, positions / 2];

        var y = Bidirectional(q, k, v, lengths, Heads, positions, width);

        for (int row = 0; row < Rows; row++)
            for (int position = 0; position < positions; position++)
                for (int head = 0; head < Heads; head++)
                {
                    int At(int token) => (row * positions + token) * width + head * size;
                    Near(Formula(q.AsSpan(At(position), size), 0, lengths[row], i => k.AsSpan(At(i), size), i => v.AsSpan(At(i), size)), y.AsSpan(At(position), size), 0.02);
                }
    }

    [Theory]
    [InlineData(0), InlineData(6), InlineData(-1)]
    public void A_length_that_cannot_be_is_refused(int length)
    {
        Processor.Needed();
        var error = Assert.Throws<OnnxRuntimeException>(() => Bidirectional(new float[5 * 16], new float[5 * 16], new float[5 * 16], [length], 1, 5, 16));
        Assert.Contains($"A row of 5 positions cannot have {length} that are there.", error.Message, StringComparison.Ordinal);
    }

    static float[] Bidirectional(float[] q, float[] k, float[] v, int[] lengths, int heads, int positions, int width)
    {
        var graph = new GraphBuilder("bidirectional", LinearFormat.Int8, integerKernels: true);
        Tensor New(string name) => graph.Input(name, ElementType.Float32, "B", "P", width);
        graph.Output("y", Attention.Bidirectional(New("q"), New("k"), New("v"), heads, graph.Input("lengths", ElementType.Int32, "B")), ElementType.Float32, "B", "P", width);
        using var session = Session(graph);
        using var options = new RunOptions();
        long[] shape = [lengths.Length, positions, width];
        using OrtValue qs = OrtValue.CreateTensorValueFromMemory(q, shape), ks = OrtValue.CreateTensorValueFromMemory(k, shape),
            vs = OrtValue.CreateTensorValueFromMemory(v, shape), ls = OrtValue.CreateTensorValueFromMemory(lengths, [lengths.Length]);
        using var results = session.Run(options, ["q", "k", "v", "lengths"], [qs, ks, vs, ls], ["y"]);
        return results[0].GetTensorDataAsSpan<float>().ToArray();
    }

    static InferenceSession Session(GraphBuilder graph)
    {
        OnnxRuntimeEnvironment.Ensure();
        using var options = new SessionOptions();
        CustomOperators.Register(options);
        return new InferenceSession(graph.ToBytes(_ => default), options);
    }

    static float[] Values(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 4 - 2)];

    delegate Span<float> Row(int token);

    static double[] Formula(Span<float> query, int first, int end, Row keys, Row values)
    {
        var (scores, result) = (new double[end - first], new double[query.Length]);
        for (int i = 0; i < scores.Length; i++)
            for (int d = 0; d < query.Length; d++)
                scores[i] += (double)query[d] * keys(first + i)[d] / Math.Sqrt(query.Length);
        double total = scores.Sum(Math.Exp);
        for (int i = 0; i < scores.Length; i++)
            for (int d = 0; d < query.Length; d++)
                result[d] += Math.Exp(scores[i]) / total * values(first + i)[d];
        return result;
    }

    static void Near(double[] expected, Span<float> actual, double tolerance)
    {
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], tolerance);
    }

    /// <summary>Causal attention with a cache for some slots, and all that it has been given.</summary>
    sealed class CausalSession : IDisposable
    {
        readonly int _heads, _keyValueHeads, _size;
        readonly int? _window;
        readonly InferenceSession _session;
        readonly DeviceMemory _memory = DeviceMemory.Host();
        readonly KvCache _cache;
        readonly List<float[]>[] _keys = [.. Enumerable.Range(0, Slots).Select(_ => new List<float[]>())];
        readonly List<float[]>[] _values = [.. Enumerable.Range(0, Slots).Select(_ => new List<float[]>())];

        public CausalSession(int heads, int keyValueHeads, int size, int? window)
        {
            (_heads, _keyValueHeads, _size, _window) = (heads, keyValueHeads, size, window);
            var graph = new GraphBuilder("causal", LinearFormat.Int8, integerKernels: true);
            Dim[] cacheSize = ["B", keyValueHeads, "S", KvCache.RowLength(size, graph.Cache)];
            graph.OutputOf("present_key", graph.Cache, cacheSize);
            graph.OutputOf("present_value", graph.Cache, cacheSize);
            var cache = new KvCacheLayer(
                graph.Input("past_key", graph.Cache, cacheSize), graph.Input("past_value", graph.Cache, cacheSize), "present_key", "present_value");
            var lengths = new SequenceLengths(graph.Input("past", ElementType.Int32, "B"), graph.Input("total", ElementType.Int32, 1));
            Tensor New(string name, int count) => graph.Input(name, ElementType.Float32, "B", "T", count * size);
            graph.Output(
                "y", Attention.Causal(New("q", heads), New("k", keyValueHeads), New("v", keyValueHeads), cache, lengths, heads, keyValueHeads, window),
                ElementType.Float32, "B", "T", heads * size);
            _session = Session(graph);
            _cache = new KvCache(new DecoderShape(1, 10, 16, keyValueHeads, size), Slots, Room, graph.Cache, _memory);
        }

        /// <summary>Gives tokens to some slots, and holds every result against the formula.</summary>
        public void Run(int firstSlot, int rows, int tokens, Random random, bool inPlace = true)
        {
            float[] q = Values(random, rows * tokens * _heads * _size), k = Values(random, rows * tokens * _keyValueHeads * _size), v = Values(random, k.Length);
            var last = new int[rows];
            for (int row = 0; row < rows; row++)
            {
                for (int token = 0; token < tokens; token++)
                {
                    int width = _keyValueHeads * _size, start = (row * tokens + token) * width;
                    _keys[firstSlot + row].Add(k[start..(start + width)]);
                    _values[firstSlot + row].Add(v[start..(start + width)]);
                }
                last[row] = _keys[firstSlot + row].Count - 1;
            }

            var y = new float[q.Length];
            using OrtValue keys = _cache.Keys(0, firstSlot, rows), values = _cache.Values(0, firstSlot, rows);
            using var binding = _session.CreateIoBinding();
            using OrtValue qs = Of(q, _heads), ks = Of(k, _keyValueHeads), vs = Of(v, _keyValueHeads), output = Of(y, _heads),
                past = OrtValue.CreateTensorValueFromMemory(last, [rows]), total = OrtValue.CreateTensorValueFromMemory(new[] { last.Max() + 1 }, [1]);
            foreach (var (name, value) in new[] { ("q", qs), ("k", ks), ("v", vs), ("past_key", keys), ("past_value", values), ("past", past), ("total", total) })
                binding.BindInput(name, value);
            binding.BindOutput("y", output);
            binding.BindOutput("present_key", keys);
            binding.BindOutput("present_value", inPlace ? values : keys);
            using var options = new RunOptions();
            _session.RunWithBinding(options, binding);

            for (int row = 0; row < rows; row++)
                for (int token = 0; token < tokens; token++)
                    for (int head = 0; head < _heads; head++)
                    {
                        var (slot, end, group) = (firstSlot + row, last[row] - tokens + token + 2, head / (_heads / _keyValueHeads));
                        int at = ((row * tokens + token) * _heads + head) * _size;
                        Near(
                            Formula(
                                q.AsSpan(at, _size), Math.Max(end - (_window ?? end), 0), end, i => _keys[slot][i].AsSpan(group * _size, _size),
                                i => _values[slot][i].AsSpan(group * _size, _size)),
                            y.AsSpan(at, _size), 0.06);
                    }

            OrtValue Of(float[] data, int heads) => OrtValue.CreateTensorValueFromMemory(data, [rows, tokens, heads * _size]);
        }

        public void Dispose()
        {
            _session.Dispose();
            _cache.Dispose();
            _memory.Dispose();
        }
    }
}
