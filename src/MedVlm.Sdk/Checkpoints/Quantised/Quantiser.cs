using System.Numerics.Tensors;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>Makes quantised tensors from stored ones: one weight after another, each on all cores, so that no more than one is in memory.</summary>
internal static unsafe class Quantiser
{
    // Rows that a thread takes at a time: their transposed numbers fill whole cache lines.
    const int RowsAtOnce = 64;

    /// <summary>Makes all tensors.</summary>
    /// <param name="tensors">What to make. Parts of the same weight are made together.</param>
    /// <param name="take">Receives each tensor's bytes, one after another, and owns them from then on.</param>
    /// <param name="cancellationToken">Gives up at the next rows.</param>
    /// <exception cref="CheckpointException">A weight is not finite, or of a type that is not read.</exception>
    public static void Make(IReadOnlyList<QuantisedTensor> tensors, Action<QuantisedTensor, NativeBuffer> take, CancellationToken cancellationToken)
    {
        foreach (var group in tensors.GroupBy(tensor => (tensor.Source, Form(tensor.Part))))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var parts = group.ToDictionary(tensor => tensor.Part, tensor => (Tensor: tensor, Bytes: new NativeBuffer((nuint)tensor.Length)));
            try
            {
                var (source, delta) = (group.Key.Source, group.First().Delta);
                switch (group.Key.Item2)
                {
                    case WeightPart.Int8:
                        Int8(source, delta, (sbyte*)Data(WeightPart.Int8), (float*)Data(WeightPart.Int8Scale), cancellationToken);
                        break;
                    case WeightPart.Int4:
                        Int4(source, delta, ErrorWeights(group.First()), Data(WeightPart.Int4), parts, Data(WeightPart.Int4ZeroPoint), cancellationToken);
                        break;
                    case WeightPart.Int8Blocks:
                        Int8Blocks(source, delta, Data(WeightPart.Int8Blocks), (Half*)Data(WeightPart.Int8BlockScale), cancellationToken);
                        break;
                    case WeightPart.Float16:
                        Float16(source, delta, (Half*)Data(WeightPart.Float16), cancellationToken);
                        break;
                    default:
                        Widen.ToFloat32(source, (float*)Data(WeightPart.Float32));
                        delta?.Rows().AddTo(0, source.Shape[0], (float*)Data(WeightPart.Float32));
                        break;
                }
            }
            catch
            {
                foreach (var (_, bytes) in parts.Values)
                    bytes.Dispose();
                throw;
            }
            foreach (var (tensor, bytes) in parts.Values)
                take(tensor, bytes);

            byte* Data(WeightPart part) => parts[part].Bytes.Data;
        }
    }

    /// <summary>The form that a part is of.</summary>
    static WeightPart Form(WeightPart part) => part switch
    {
        WeightPart.Int8Scale => WeightPart.Int8,
        WeightPart.Int8BlockScale => WeightPart.Int8Blocks,
        WeightPart.Int4Scale or WeightPart.Int4Scale16 or WeightPart.Int4ZeroPoint => WeightPart.Int4,
        _ => part,
    };

    static void Int8(StoredTensor source, LoraDelta? delta, sbyte* values, float* scales, CancellationToken cancellationToken)
    {
        long outputs = source.Shape[0];
        ForRows(source, delta, (first, rows, weights) =>
        {
            int inputs = weights.Length / rows;
            var numbers = new sbyte[weights.Length];
            for (int row = 0; row < rows; row++)
                if (float.IsNaN(scales[first + row] = Int8Quantiser.Quantise(weights.Slice(row * inputs, inputs), numbers.AsSpan(row * inputs, inputs))))
                    return false;

            for (int input = 0; input < inputs; input++)
            {
                var column = values + input * outputs + first;
                for (int row = 0; row < rows; row++)
                    column[row] = numbers[row * inputs + input];
            }
            return true;
        }, cancellationToken);
    }

    /// <summary>Each block of 32 with a scale of its own. What fills up the last block of a row means zero.</summary>
    static void Int8Blocks(StoredTensor source, LoraDelta? delta, byte* values, Half* scales, CancellationToken cancellationToken)
    {
        const int Size = Int4Quantiser.BlockSize, Zero = 128;
        int blocks = (int)Int4Quantiser.Blocks(source.Elements / source.Shape[0]);
        ForRows(source, delta, (first, rows, weights) =>
        {
            int inputs = weights.Length / rows;
            Span<sbyte> numbers = stackalloc sbyte[Size];
            for (int row = 0; row < rows; row++)
                for (int block = 0; block < blocks; block++)
                {
                    int start = block * Size, count = Math.Min(Size, inputs - start);
                    long place = (first + row) * blocks + block;
                    float scale = Int8Quantiser.Quantise(weights.Slice(row * inputs + start, count), numbers[..count]);
                    if (float.IsNaN(scale))
                        return false;

                    scales[place] = Float16Numbers.Saturated(scale);
                    for (int i = 0; i < Size; i++)
                        values[place * Size + i] = (byte)(Zero + (i < count ? numbers[i] : 0));
                }
            return true;
        }, cancellationToken);
    }

    static void Float16(StoredTensor source, LoraDelta? delta, Half* values, CancellationToken cancellationToken) =>
        ForRows(source, delta, (first, rows, weights) =>
        {
            Float16Numbers.Convert(weights, new Span<Half>(values + first * (weights.Length / rows), weights.Length));
            return true;
        }, cancellationToken);

    /// <summary>
    /// What the errors of each input's weights count: the mean square of the input, as far as it is known. A norm makes channels of mean square
    /// gain² + shift² (docs/precision.md). Empty where nothing is known.
    /// </summary>
    static float[] ErrorWeights(QuantisedTensor tensor)
    {
        var weights = new float[tensor.Gain?.Elements ?? 0];
        var numbers = new float[weights.Length];
        foreach (var norm in (StoredTensor?[])[tensor.Gain, tensor.Shift])
        {
            if (norm is null)
                continue;

            Widen.ToFloat32(norm, 0, numbers);
            TensorPrimitives.MultiplyAdd(numbers, numbers, weights, weights);
        }
        return weights;
    }

    static void Int4(
        StoredTensor source, LoraDelta? delta, float[] errorWeights, byte* values, Dictionary<WeightPart, (QuantisedTensor, NativeBuffer Bytes)> parts, byte* zeroPoints,
        CancellationToken cancellationToken)
    {
        var (single, half) = (parts.GetValueOrDefault(WeightPart.Int4Scale).Bytes, parts.GetValueOrDefault(WeightPart.Int4Scale16).Bytes);
        int count = (int)(single is null ? half!.Length / (nuint)sizeof(Half) : single.Length / sizeof(float));
        using var scratch = single is null ? new NativeBuffer((nuint)count * sizeof(float)) : null;
        var scales = (float*)(single ?? scratch)!.Data;
        Int4(source, delta, errorWeights, values, scales, zeroPoints, cancellationToken);

        // The numbers are chosen for scales in FP32; narrowing moves a scale by 1/2048 of itself at most, a 130th of a step of the numbers.
        if (half is not null)
            Float16Numbers.Convert(new ReadOnlySpan<float>(scales, count), new Span<Half>(half.Data, count));
    }

    static void Int4(
        StoredTensor source, LoraDelta? delta, float[] errorWeights, byte* values, float* scales, byte* zeroPoints, CancellationToken cancellationToken)
    {
        int blocks = (int)Int4Quantiser.Blocks(source.Elements / source.Shape[0]), bytes = blocks * Int4Quantiser.BlockBytes, halves = (blocks + 1) / 2;
        ForRows(source, delta, (first, rows, weights) =>
        {
            int inputs = weights.Length / rows;
            for (int row = 0; row < rows; row++)
                if (!Int4Quantiser.Quantise(
                    weights.Slice(row * inputs, inputs), errorWeights, new Span<byte>(values + (first + row) * bytes, bytes),
                    new Span<float>(scales + (first + row) * blocks, blocks), new Span<byte>(zeroPoints + (first + row) * halves, halves)))
                    return false;
            return true;
        }, cancellationToken);
    }

    /// <returns>False where a weight is not finite.</returns>
    delegate bool RowWork(long first, int rows, ReadOnlySpan<float> weights);

    static void ForRows(StoredTensor source, LoraDelta? delta, RowWork work, CancellationToken cancellationToken)
    {
        long outputs = source.Shape is [var rows, ..] ? rows : 1, inputs = source.Elements / outputs;
        var added = delta?.Rows();
        bool finite = true;
        Widen.CheckType(source);
        Parallel.For(
            0, (outputs + RowsAtOnce - 1) / RowsAtOnce, new ParallelOptions { CancellationToken = cancellationToken },
            () => new float[Math.Min(RowsAtOnce, outputs) * inputs],
            (chunk, state, weights) =>
            {
                long first = chunk * RowsAtOnce;
                int count = (int)Math.Min(RowsAtOnce, outputs - first);
                Widen.ToFloat32(source, first * inputs, weights.AsSpan(0, (int)(count * inputs)));
                fixed (float* start = weights)
                    added?.AddTo(first, count, start);
                if (!work(first, count, weights.AsSpan(0, (int)(count * inputs))))
                {
                    Volatile.Write(ref finite, false);
                    state.Stop();
                }
                return weights;
            },
            _ => { });

        if (!finite)
            throw new CheckpointException(
                $"{source.File.FileName}: tensor {Fault.Quote(source.Name)} holds a value that is infinite or not a number{(delta is null ? "" : " after the adapter is added")}, "
                + "so it cannot be quantised. The checkpoint is damaged, or its training has diverged: take another revision.");
    }
}
