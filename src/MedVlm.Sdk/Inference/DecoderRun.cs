using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

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
    readonly int _tokens;

    public DecoderRun(GraphSession decoder, ModelFamily family, KvCache cache, int firstSlot, int rows, int tokens)
    {
        var shape = family.Shape;
        int angles = family.Rotary.Angles;
        (_session, _tokens, Rows) = (decoder.Session, tokens, rows);
        _binding = _session.CreateIoBinding();

        Embeddings = Input(DecoderGraph.Embeddings, new float[rows * tokens * shape.HiddenSize], rows, tokens, shape.HiddenSize);
        Cos = Input(DecoderGraph.RotaryCos, new float[rows * tokens * angles], rows * tokens, angles);
        Sin = Input(DecoderGraph.RotarySin, new float[rows * tokens * angles], rows * tokens, angles);
        Input(DecoderGraph.RotaryRows, [.. Enumerable.Range(0, rows * tokens).Select(i => (long)i)], rows, tokens);
        PastLengths = Input(DecoderGraph.PastLengths, new int[rows], rows);
        TotalLength = Input(DecoderGraph.TotalLength, new int[1], 1);
        Input(DecoderGraph.LastTokens, [.. Enumerable.Range(1, rows).Select(row => (long)row * tokens - 1)], rows);

        for (int layer = 0; layer < shape.Layers; layer++)
        {
            var (keys, values) = (cache.Keys(layer, firstSlot, rows), cache.Values(layer, firstSlot, rows));
            _values.AddRange([keys, values]);
            _binding.BindInput(DecoderGraph.PastKey(layer), keys);
            _binding.BindInput(DecoderGraph.PastValue(layer), values);
            _binding.BindOutput(DecoderGraph.PresentKey(layer), keys);
            _binding.BindOutput(DecoderGraph.PresentValue(layer), values);
        }

        Logits = Output(DecoderGraph.Logits, new float[rows * shape.VocabSize], rows, shape.VocabSize);
        Next = Output(DecoderGraph.Next, new long[rows], rows);
        LogProbability = Output(DecoderGraph.LogProbability, new float[rows], rows);
    }

    /// <summary>Slots that take part.</summary>
    public int Rows { get; }

    /// <summary>[rows, tokens, D].</summary>
    public float[] Embeddings { get; }

    /// <summary>[rows·tokens, d/2].</summary>
    public float[] Cos { get; }

    /// <summary>[rows·tokens, d/2].</summary>
    public float[] Sin { get; }

    /// <summary>[rows, vocab]: logits of each slot's last token, after a run.</summary>
    public float[] Logits { get; }

    /// <summary>[rows]: the likeliest token of each slot, after a run.</summary>
    public long[] Next { get; }

    /// <summary>[rows]: its log-probability, after a run.</summary>
    public float[] LogProbability { get; }

    int[] PastLengths { get; }

    int[] TotalLength { get; }

    /// <summary>Runs the graph: keys and values go into the cache, the results into <see cref="Logits"/> and the others.</summary>
    /// <param name="past">[rows]: tokens of each slot that are in the cache already.</param>
    /// <param name="runOptions">Carries the request to end the run early.</param>
    public void Run(ReadOnlySpan<int> past, RunOptions runOptions)
    {
        int longest = 0;
        for (int row = 0; row < Rows; row++)
        {
            // GroupQueryAttention counts from zero: the index of the row's last key.
            PastLengths[row] = past[row] + _tokens - 1;
            longest = Math.Max(longest, past[row] + _tokens);
        }
        TotalLength[0] = longest;
        _session.RunWithBinding(runOptions, _binding);
    }

    public void Dispose()
    {
        _binding.Dispose();
        foreach (var value in _values)
            value.Dispose();
    }

    T[] Input<T>(string name, T[] data, params long[] shape) where T : unmanaged
    {
        _binding.BindInput(name, Value(data, shape));
        return data;
    }

    T[] Output<T>(string name, T[] data, params long[] shape) where T : unmanaged
    {
        _binding.BindOutput(name, Value(data, shape));
        return data;
    }

    // Pins the array for as long as the value lives.
    OrtValue Value<T>(T[] data, long[] shape) where T : unmanaged
    {
        var value = OrtValue.CreateTensorValueFromMemory(data, shape);
        _values.Add(value);
        return value;
    }
}
