using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MedVlm.Checkpoints;

/// <summary>Stored floating-point elements as float32: exact for every type up to F32, F64 rounded to nearest.</summary>
internal static unsafe class Widen
{
    const int BlockElements = 1 << 20;   // a block's source and result stay near the cache, and many blocks share the cores evenly

    /// <summary>Widens the whole tensor, on all cores where it is large.</summary>
    /// <param name="tensor">F64, F32, F16, BF16, F8_E4M3 or F8_E5M2.</param>
    /// <param name="destination">Room for <see cref="StoredTensor.Elements"/> floats.</param>
    /// <exception cref="CheckpointException">The tensor is of another type.</exception>
    public static void ToFloat32(StoredTensor tensor, float* destination)
    {
        CheckType(tensor);
        long blocks = (tensor.Elements + BlockElements - 1) / BlockElements;
        byte* source = tensor.Data;
        int size = tensor.Dtype.Bits / 8;
        if (blocks <= 1)
            Block(0);
        else
            Parallel.For(0, blocks, Block);
        GC.KeepAlive(tensor);

        void Block(long block)
        {
            long first = block * BlockElements;
            int count = (int)Math.Min(BlockElements, tensor.Elements - first);
            Convert(tensor.Dtype, source + first * size, new Span<float>(destination + first, count));
        }
    }

    /// <inheritdoc cref="ToFloat32(StoredTensor, float*)"/>
    public static void ToFloat32(StoredTensor tensor, Span<float> destination)
    {
        if (destination.Length != tensor.Elements)
            throw new ArgumentException($"{tensor.Elements} elements do not fill {destination.Length} floats.", nameof(destination));
        fixed (float* first = destination)
            ToFloat32(tensor, first);
    }

    /// <summary>Widens one row: the elements under one index of the first dimension.</summary>
    /// <exception cref="CheckpointException">The tensor is of another type.</exception>
    public static void RowToFloat32(StoredTensor tensor, long row, Span<float> destination)
    {
        CheckType(tensor);
        if (tensor.Shape is [])
            throw new ArgumentException($"Tensor {Fault.Quote(tensor.Name)} is a scalar and has no rows.", nameof(tensor));
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, tensor.Shape[0]);
        long elements = tensor.Elements / tensor.Shape[0];
        if (destination.Length != elements)
            throw new ArgumentException($"A row of {elements} elements does not fill {destination.Length} floats.", nameof(destination));
        Convert(tensor.Dtype, tensor.Data + row * elements * (tensor.Dtype.Bits / 8), destination);
        GC.KeepAlive(tensor);
    }

    /// <summary>Widens a run of elements.</summary>
    /// <param name="tensor">The tensor; of a type that <see cref="CheckType"/> lets pass.</param>
    /// <param name="first">The first element of the run.</param>
    /// <param name="destination">As long as the run.</param>
    public static void ToFloat32(StoredTensor tensor, long first, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, tensor.Elements - destination.Length);
        Convert(tensor.Dtype, tensor.Data + first * (tensor.Dtype.Bits / 8), destination);
        GC.KeepAlive(tensor);
    }

    /// <exception cref="CheckpointException">The tensor is of a type that no weight has.</exception>
    public static void CheckType(StoredTensor tensor)
    {
        if (tensor.Dtype is not (TensorDtype.F64 or TensorDtype.F32 or TensorDtype.F16 or TensorDtype.BF16
            or TensorDtype.F8E4M3 or TensorDtype.F8E5M2))
            throw new CheckpointException($"{tensor.File.FileName}: tensor {Fault.Quote(tensor.Name)} is {tensor.Dtype.StoredName}, which "
                + "is not a weight type that this library reads: F32, F16, BF16, F64, F8_E4M3 or F8_E5M2. Take a checkpoint that is not "
                + "quantised beforehand; this library quantises at load.");
    }

    static void Convert(TensorDtype dtype, byte* source, Span<float> destination)
    {
        switch (dtype)
        {
            case TensorDtype.F32:
                new ReadOnlySpan<byte>(source, destination.Length * sizeof(float)).CopyTo(MemoryMarshal.AsBytes(destination));
                break;
            case TensorDtype.F16:
                TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>(source, destination.Length), destination);
                break;
            case TensorDtype.BF16:
                BFloat16(new ReadOnlySpan<ushort>(source, destination.Length), destination);
                break;
            case TensorDtype.F64:
                for (int i = 0; i < destination.Length; i++)
                    destination[i] = (float)((double*)source)[i];
                break;
            case TensorDtype.F8E4M3:
                Lookup(Float8.E4M3, source, destination);
                break;
            case TensorDtype.F8E5M2:
                Lookup(Float8.E5M2, source, destination);
                break;
        }
    }

    /// <summary>BF16 is the upper half of a float32.</summary>
    static void BFloat16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        var bits = MemoryMarshal.Cast<float, uint>(destination);
        int i = 0;
        for (int width = Vector256<ushort>.Count; i <= source.Length - width; i += width)
        {
            var (lower, upper) = Vector256.Widen(Vector256.Create(source[i..]));
            (lower << 16).CopyTo(bits[i..]);
            (upper << 16).CopyTo(bits[(i + width / 2)..]);
        }
        for (; i < source.Length; i++)
            bits[i] = (uint)source[i] << 16;
    }

    static void Lookup(float[] table, byte* source, Span<float> destination)
    {
        for (int i = 0; i < destination.Length; i++)
            destination[i] = table[source[i]];
    }
}
