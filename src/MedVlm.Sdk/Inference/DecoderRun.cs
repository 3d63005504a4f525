using System.Diagnostics;
using MedVlm.Checkpoints;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace MedVlm.Inference;

/// <summary>
/// The decoder over the same number of tokens of some neighbouring slots: its inputs and outputs bound once, to be filled and run as
/// often as needed. With many tokens it is a prefill, with one a decode step.
/// </summary>
internal sealed class DecoderRun : IDisposable
{
    readonly InferenceSession _session;
    readonly OrtIoBinding _binding;
    readonly List<OrtValue> _values = [];
    readonly List<(string Name, OrtValue Value)> _inputs = [];
    readonly NativeBuffer? _embeddings, _cos, _sin;
    readonly int _tokens;
    readonly bool[] _seesAll = new bool[1];

    /// <param name="decoder">The decoder graph.</param>
    /// <param name="family">The family that it is of.</param>
    /// <param name="cache">Keys and values of the sequences.</param>
    /// <param name="cross">Keys and values of the images, for families with cross-attention.</param>
    /// <param name="firstSlot">The first slot that takes part.</param>
    /// <param name="rows">Slots that take part.</param>
    /// <param name="tokens">Tokens of each.</param>
    /// <param name="results">Where the results go, for at least as many rows; null for arrays of its own.</param>
    /// <param name="bindMore">Binds what the graph has beside its own inputs and outputs; null for nothing.</param>
    public DecoderRun(
        GraphSession decoder, ModelFamily family, KvCache cache, KvCache? cross, int firstSlot, int rows, int tokens, DecoderResults? results = null,
        Action<OrtIoBinding>? bindMore = null)
    {
        var shape = family.Shape;
        int angles = family.Rotary?.Angles ?? 0;
        (_session, _tokens, Rows) = (decoder.Session, tokens, rows);
        _binding = _session.CreateIoBinding();

        try
        {
            _embeddings = Input(DecoderGraph.Embeddings, rows, tokens, shape.HiddenSize);
            if (angles > 0)
            {
                _cos = Input(DecoderGraph.RotaryCos, rows * tokens, angles);
                _sin = Input(DecoderGraph.RotarySin, rows * tokens, angles);
                Input(DecoderGraph.RotaryRows, [.. Enumerable.Range(0, rows * tokens).Select(i => (long)i)], rows, tokens);
            }
            PastLengths = Input(DecoderGraph.PastLengths, new int[rows], rows);
            TotalLength = Input(DecoderGraph.TotalLength, new int[1], 1);
            Input(DecoderGraph.LastTokens, [.. Enumerable.Range(1, rows).Select(row => (long)row * tokens - 1)], rows);

            if (family.PrefixLength > 0)
                Input(DecoderGraph.SeesAll, _seesAll, 1);

            for (int layer = 0; layer < shape.Layers; layer++)
            {
                if (cross is not null)
                {
                    _binding.BindInput(DecoderGraph.CrossKey(layer), Keep(cross.Keys(layer, firstSlot, rows)));
                    _binding.BindInput(DecoderGraph.CrossValue(layer), Keep(cross.Values(layer, firstSlot, rows)));
                }

                var (keys, values) = (Keep(cache.Keys(layer, firstSlot, rows)), Keep(cache.Values(layer, firstSlot, rows)));
                _binding.BindInput(DecoderGraph.PastKey(layer), keys);
                _binding.BindInput(DecoderGraph.PastValue(layer), values);
                _binding.BindOutput(DecoderGraph.PresentKey(layer), keys);
                _binding.BindOutput(DecoderGraph.PresentValue(layer), values);
            }

            results ??= new DecoderResults(rows, shape.VocabSize);
            (Logits, Next, LogProbability) = (results.Logits, results.Next, results.LogProbability);
            Output(DecoderGraph.Logits, Logits, rows, shape.VocabSize);
            Output(DecoderGraph.Next, Next, rows, 1);
            Output(DecoderGraph.LogProbability, LogProbability, rows, 1);
            bindMore?.Invoke(_binding);
        }
        catch
        {
            Dispose();   // memory has run out half-way: what there is of it is wanted elsewhere
            throw;
        }
    }

    /// <summary>Slots that take part.</summary>
    public int Rows { get; }

    /// <summary>How long the last run took in ONNX Runtime.</summary>
    public TimeSpan Elapsed { get; private set; }

    /// <summary>[rows, tokens, D].</summary>
    public Span<float> Embeddings => Floats(_embeddings);

    /// <summary>[rows·tokens, angles]; empty without rotary embedding.</summary>
    public Span<float> Cos => Floats(_cos);

    /// <summary>[rows·tokens, angles]; empty without rotary embedding.</summary>
    public Span<float> Sin => Floats(_sin);

    /// <summary>[rows, vocab], and maybe more: logits of each slot's last token, after a run.</summary>
    public float[] Logits { get; }

    /// <summary>[rows], and maybe more: the likeliest token of each slot, after a run.</summary>
    public long[] Next { get; }

    /// <summary>[rows], and maybe more: its log-probability, after a run.</summary>
    public float[] LogProbability { get; }

    int[] PastLengths { get; }

    int[] TotalLength { get; }

    /// <summary>Runs the graph: keys and values go into the cache, the results into <see cref="Logits"/> and the others.</summary>
    /// <param name="past">[rows]: tokens of each slot that are in the cache already.</param>
    /// <param name="runOptions">Carries the request to end the run early.</param>
    /// <param name="seesAll">Whether the tokens see each other both ways; only for families with a prefix.</param>
    public void Run(ReadOnlySpan<int> past, RunOptions runOptions, bool seesAll = false)
    {
        _seesAll[0] = seesAll;
        int longest = 0;
        for (int row = 0; row < Rows; row++)
        {
            // GroupQueryAttention counts from zero: the index of the row's last key.
            PastLengths[row] = past[row] + _tokens - 1;
            longest = Math.Max(longest, past[row] + _tokens);
        }
        TotalLength[0] = longest;

        // A GPU is given a copy when an input is bound, not when it is run: what has been filled since must be bound again.
        foreach (var (name, value) in _inputs)
            _binding.BindInput(name, value);
        _binding.SynchronizeBoundInputs();
        long start = Stopwatch.GetTimestamp();
        _session.RunWithBinding(runOptions, _binding);
        Elapsed = Stopwatch.GetElapsedTime(start);
    }

    public void Dispose()
    {
        _binding.Dispose();
        foreach (var value in _values)
            value.Dispose();
        _embeddings?.Dispose();
        _cos?.Dispose();
        _sin?.Dispose();
    }

    // Outside the garbage collector's heap: those of a prompt are megabytes, and for each prompt they are made anew.
    unsafe NativeBuffer Input(string name, params long[] shape)
    {
        var buffer = new NativeBuffer((nuint)shape.Aggregate((long)sizeof(float), (bytes, size) => bytes * size));
        _inputs.Add((name, Keep(OrtValue.CreateTensorValueWithData(
            OrtMemoryInfo.DefaultInstance, TensorElementType.Float, shape, (nint)buffer.Data, (long)buffer.Length))));
        return buffer;
    }

    static unsafe Span<float> Floats(NativeBuffer? buffer) => buffer is null ? [] : new Span<float>(buffer.Data, (int)(buffer.Length / sizeof(float)));

    T[] Input<T>(string name, T[] data, params long[] shape) where T : unmanaged
    {
        _inputs.Add((name, Value<T>(data, shape)));
        return data;
    }

    void Output<T>(string name, T[] data, params long[] shape) where T : unmanaged =>
        _binding.BindOutput(name, Value(data.AsMemory(0, (int)shape.Aggregate(1L, (count, size) => count * size)), shape));

    // Pins the array for as long as the value lives.
    OrtValue Value<T>(Memory<T> data, long[] shape) where T : unmanaged => Keep(OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, data, shape));

    OrtValue Keep(OrtValue value)
    {
        _values.Add(value);
        return value;
    }
}
