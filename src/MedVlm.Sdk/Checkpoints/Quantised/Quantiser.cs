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
            var parts = new Dictionary<WeightPart, (QuantisedTensor Tensor, NativeBuffer Bytes)>();
            try
            {
                foreach (var part in group)
                    parts.Add(part.Part, (part, new NativeBuffer((nuint)part.Length)));
                var tensor = group.First();
                switch (group.Key.Item2)
                {
                    case WeightPart.Int8:
                        Int8(tensor, (sbyte*)Data(WeightPart.Int8), (float*)Data(WeightPart.Int8Scale), cancellationToken);
                        break;
                    case WeightPart.Int4:
                        Int4(tensor, ErrorWeights(tensor), Data(WeightPart.Int4), parts, Data(WeightPart.Int4ZeroPoint), cancellationToken);
                        break;
                    case WeightPart.Int8Blocks:
                        Int8Blocks(tensor, Data(WeightPart.Int8Blocks), (Half*)Data(WeightPart.Int8BlockScale), cancellationToken);
                        break;
                    case WeightPart.Float16:
                        Float16(tensor, (Half*)Data(WeightPart.Float16), cancellationToken);
                        break;
                    default:
                        Float32(tensor, (float*)Data(WeightPart.Float32));
                        break;
                }
                while (parts.Values.FirstOrDefault() is { Bytes: not null } next)
                {
                    parts.Remove(next.Tensor.Part);
                    take(next.Tensor, next.Bytes);
                }
            }
            catch
            {
                foreach (var (_, bytes) in parts.Values)
                    bytes.Dispose();
                throw;
            }

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

    static void Int8(QuantisedTensor tensor, sbyte* values, float* scales, CancellationToken cancellationToken)
    {
        long outputs = tensor.Source.Shape[0];
        ForRows(tensor, (first, rows, weights) =>
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
    static void Int8Blocks(QuantisedTensor tensor, byte* values, Half* scales, CancellationToken cancellationToken)
    {
        const int Size = Int4Quantiser.BlockSize, Zero = 128;
        int blocks = (int)Int4Quantiser.Blocks(Inputs(tensor.Source));
        ForRows(tensor, (first, rows, weights) =>
        {
            int inputs = weights.Length / rows;
            Span<sbyte> numbers = stackalloc sbyte[Size];
            for (int row = 0; row < rows; row++)
                for (int block = 0; block < blocks; block++)
                {
                    int start = block * Size, count = Math.Min(Size, inputs - start);
                    long place = (first + row) * blocks + block;
                    float scale = Int8Quantiser.Quantise(weights.Slice(row * inputs + start, count), numbers[..count], halfScale: true);
                    if (float.IsNaN(scale))
                        return false;

                    scales[place] = (Half)scale;
                    for (int i = 0; i < Size; i++)
                        values[place * Size + i] = (byte)(Zero + (i < count ? numbers[i] : 0));
                }
            return true;
        }, cancellationToken);
    }

    static void Float32(QuantisedTensor tensor, float* values)
    {
        var (source, rows) = (tensor.Source, tensor.Source.Shape is [var outputs, ..] ? outputs : 1);
        Widen.ToFloat32(source, values);
        tensor.Delta?.Rows().AddTo(0, rows, values);
        if (tensor.Columns is not null || tensor.Rows is not null)
            for (long row = 0; row < rows; row++)
                Fold(tensor, row, 1, new Span<float>(values + row * Inputs(source), (int)Inputs(source)));
    }

    static void Float16(QuantisedTensor tensor, Half* values, CancellationToken cancellationToken) =>
        ForRows(tensor, (first, rows, weights) =>
        {
            Float16Numbers.Convert(weights, new Span<Half>(values + first * (weights.Length / rows), weights.Length));
            return true;
        }, cancellationToken);

    /// <summary>
    /// What the errors of each input's weights count: the mean square of the input, as measured or else as far as it is known. A norm makes channels
    /// of mean square gain² + shift² (docs/precision.md). Empty where nothing is known.
    /// </summary>
    public static float[] ErrorWeights(QuantisedTensor tensor)
    {
        if (tensor.MeanSquares is not null)
            return tensor.MeanSquares;

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
        QuantisedTensor tensor, float[] errorWeights, byte* values, Dictionary<WeightPart, (QuantisedTensor, NativeBuffer Bytes)> parts, byte* zeroPoints,
        CancellationToken cancellationToken)
    {
        var (single, half) = (parts.GetValueOrDefault(WeightPart.Int4Scale).Bytes, parts.GetValueOrDefault(WeightPart.Int4Scale16).Bytes);
        int count = (int)(single is null ? half!.Length / (nuint)sizeof(Half) : single.Length / sizeof(float));
        using var scratch = single is null ? new NativeBuffer((nuint)count * sizeof(float)) : null;
        var scales = (float*)(single ?? scratch)!.Data;
        Int4(tensor, errorWeights, values, scales, zeroPoints, halfScales: single is null, cancellationToken);
        if (half is not null)
            Float16Numbers.Convert(new ReadOnlySpan<float>(scales, count), new Span<Half>(half.Data, count));
    }

    static void Int4(
        QuantisedTensor tensor, float[] errorWeights, byte* values, float* scales, byte* zeroPoints, bool halfScales, CancellationToken cancellationToken)
    {
        int blocks = (int)Int4Quantiser.Blocks(Inputs(tensor.Source)), bytes = blocks * Int4Quantiser.BlockBytes, halves = (blocks + 1) / 2;
        ForRows(tensor, (first, rows, weights) =>
        {
            int inputs = weights.Length / rows;
            for (int row = 0; row < rows; row++)
                if (!Int4Quantiser.Quantise(
                    weights.Slice(row * inputs, inputs), errorWeights, new Span<byte>(values + (first + row) * bytes, bytes),
                    new Span<float>(scales + (first + row) * blocks, blocks), new Span<byte>(zeroPoints + (first + row) * halves, halves), halfScales))
                    return false;
            return true;
        }, cancellationToken);
    }

    /// <summary>Weights of an output: elements of a row.</summary>
    static long Inputs(StoredTensor source) => source.Shape is [var rows, ..] ? source.Elements / rows : source.Elements;

    /// <summary>Multiplies columns and divides rows, where a calibration asks for it.</summary>
    static void Fold(QuantisedTensor tensor, long first, int rows, Span<float> weights)
    {
        int inputs = weights.Length / rows;
        for (int i = 0; i < rows; i++)
        {
            var row = weights.Slice(i * inputs, inputs);
            if (tensor.Columns is { } columns)
                TensorPrimitives.Multiply(row, columns, row);
            if (tensor.Rows is { } divisors)
                TensorPrimitives.Divide(row, divisors[first + i], row);
        }
    }

    /// <param name="first">The first row.</param>
    /// <param name="rows">How many.</param>
    /// <param name="weights">Their weights, adapter and factors included.</param>
    /// <returns>False where a weight is not finite.</returns>
    public delegate bool RowWork(long first, int rows, ReadOnlySpan<float> weights);

    /// <summary>Hands the rows of a weight out, some at a time, on all cores.</summary>
    /// <exception cref="CheckpointException">A weight is not finite, or of a type that is not read.</exception>
    public static void ForRows(QuantisedTensor tensor, RowWork work, CancellationToken cancellationToken)
    {
        var (source, delta) = (tensor.Source, tensor.Delta);
        long outputs = source.Shape is [var rows, ..] ? rows : 1, inputs = Inputs(source);
        var added = delta?.Rows();
        bool finite = true;
        Widen.CheckType(source);
        ParallelLoop.For(
            (outputs + RowsAtOnce - 1) / RowsAtOnce, () => new float[Math.Min(RowsAtOnce, outputs) * inputs],
            (chunk, state, weights) =>
            {
                long first = chunk * RowsAtOnce;
                int count = (int)Math.Min(RowsAtOnce, outputs - first);
                Widen.ToFloat32(source, first * inputs, weights.AsSpan(0, (int)(count * inputs)));
                fixed (float* start = weights)
                    added?.AddTo(first, count, start);
                if (tensor.Columns is not null || tensor.Rows is not null)
                    Fold(tensor, first, count, weights.AsSpan(0, (int)(count * inputs)));
                if (!work(first, count, weights.AsSpan(0, (int)(count * inputs))))
                {
                    Volatile.Write(ref finite, false);
                    state.Stop();
                }
            }, cancellationToken);

        if (!finite)
            throw new CheckpointException(
                $"{source.File.FileName}: tensor {Fault.Quote(source.Name)} holds a value that is infinite or not a number{(delta is null ? "" : " after the adapter is added")}, "
                + "so it cannot be quantised. The checkpoint is damaged, or its training has diverged: take another revision.");
    }
}
