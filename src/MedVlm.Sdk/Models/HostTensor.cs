using System.Runtime.InteropServices;
using MedVlm.Checkpoints;

namespace MedVlm.Models;

/// <summary>A tensor in main memory, row-major: its numbers, or what FP32 values are made from when its run begins.</summary>
/// <remarks>
/// Images wait as 8-bit pixels, which are a quarter of the values that a vision tower is fed. Dispose gives the pixels back; only the owner
/// of the caption may, once no run reads them any more.
/// </remarks>
internal sealed class HostTensor : IDisposable
{
    readonly Array? _data;
    readonly Action<Span<float>>? _fill;
    readonly PixelBuffer? _pixels;

    /// <param name="data">float[], long[] or int[].</param>
    /// <param name="shape">Its shape.</param>
    public HostTensor(Array data, long[] shape)
    {
        (_data, Shape) = (data, shape);
        Type = data.GetType().GetElementType()!;
        WaitingBytes = data.LongLength * (data is long[] ? sizeof(long) : sizeof(float));
    }

    /// <param name="shape">Its shape.</param>
    /// <param name="fill">Writes all FP32 values.</param>
    /// <param name="pixels">What it makes them from; null for none.</param>
    /// <param name="otherBytes">Bytes of what else it makes them from.</param>
    public HostTensor(long[] shape, Action<Span<float>> fill, PixelBuffer? pixels = null, long otherBytes = 0)
    {
        (Shape, _fill, _pixels) = (shape, fill, pixels);
        (Type, WaitingBytes) = (typeof(float), (pixels?.Length ?? 0) + otherBytes);
    }

    public long[] Shape { get; }

    /// <summary>Type of its numbers.</summary>
    public Type Type { get; }

    /// <summary>How many numbers it has.</summary>
    public long Length => Shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>Bytes that it takes until its run begins.</summary>
    public long WaitingBytes { get; }

    /// <summary>Its numbers: those that it holds, or made now.</summary>
    public Array Data
    {
        get
        {
            if (_data is not null)
                return _data;
            var values = new float[Length];
            _fill!(values);
            GC.KeepAlive(this);     // the pixels, until the last of them is read
            return values;
        }
    }

    /// <summary>FP32 values that are still to be made, outside the garbage collector's heap; null for a tensor that holds its numbers.</summary>
    public unsafe NativeBuffer? TryMake()
    {
        if (_fill is null)
            return null;
        var buffer = new NativeBuffer(checked((nuint)Length * sizeof(float)));
        try
        {
            _fill(new Span<float>(buffer.Data, checked((int)Length)));
            GC.KeepAlive(this);
            return buffer;
        }
        catch
        {
            buffer.Dispose();
            throw;
        }
    }

    /// <summary>The same with the numbers of <see cref="Data"/>, which nobody has to give back.</summary>
    public HostTensor Made() => new(Data, Shape);

    /// <summary>Tensors after one another along their first dimension. They still give their pixels back themselves.</summary>
    public static HostTensor Stack(IReadOnlyList<HostTensor> tensors)
    {
        long[] shape = [tensors.Sum(tensor => tensor.Shape[0]), .. tensors[0].Shape[1..]];
        if (tensors.All(tensor => tensor._fill is not null))
            return new HostTensor(shape, values =>
            {
                foreach (var tensor in tensors)
                {
                    int length = checked((int)tensor.Length);
                    tensor._fill!(values[..length]);
                    values = values[length..];
                }
            });

        var parts = tensors.Select(tensor => tensor.Data).ToList();
        var data = Array.CreateInstanceFromArrayType(parts[0].GetType(), parts.Sum(part => part.Length));
        int filled = 0;
        foreach (var part in parts)
        {
            Array.Copy(part, 0, data, filled, part.Length);
            filled += part.Length;
        }
        return new HostTensor(data, shape);
    }

    /// <summary>Whether two tensors hold the same numbers.</summary>
    public static bool AreEqual(HostTensor a, HostTensor b) => Bytes(a.Data).SequenceEqual(Bytes(b.Data));

    static ReadOnlySpan<byte> Bytes(Array data) => data switch
    {
        float[] values => MemoryMarshal.AsBytes(values.AsSpan()),
        long[] values => MemoryMarshal.AsBytes(values.AsSpan()),
        int[] values => MemoryMarshal.AsBytes(values.AsSpan()),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public void Dispose() => _pixels?.Dispose();
}
