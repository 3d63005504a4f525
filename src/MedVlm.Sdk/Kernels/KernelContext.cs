namespace MedVlm.Kernels;

/// <summary>Inputs and outputs of a node while it is computed.</summary>
internal readonly unsafe struct KernelContext(nint context)
{
    /// <summary>An input.</summary>
    /// <exception cref="MedVlmException">It has more dimensions than any of ours.</exception>
    public KernelTensor Input(int index) => new(OrtApi.Input(context, index));

    /// <summary>Numbers of an input that may have been left out: null then.</summary>
    public T* OptionalData<T>(int index) where T : unmanaged => OrtApi.Input(context, index) is not 0 and var value ? (T*)OrtApi.Data(value) : null;

    /// <summary>An input that may have been left out.</summary>
    public KernelTensor? OptionalInput(int index) => OrtApi.Input(context, index) is not 0 and var value ? new KernelTensor(value) : null;

    /// <summary>Memory of an output with the dimensions of a tensor.</summary>
    /// <param name="index">The output.</param>
    /// <param name="like">The tensor.</param>
    /// <param name="last">Its last dimension, where it is another.</param>
    public T* Output<T>(int index, in KernelTensor like, long? last = null) where T : unmanaged
    {
        Span<long> shape = stackalloc long[like.Rank];
        like.CopyShape(shape);
        if (last is { } width)
            shape[^1] = width;
        return (T*)OrtApi.Data(OrtApi.Output(context, index, shape));
    }

    /// <summary>Memory until the operator is done, from where the session takes its own.</summary>
    /// <exception cref="MedVlmException">There is not that much.</exception>
    public Scratch Scratch(nuint bytes) => new(context, bytes);

    /// <summary>Calls a function for each index, on the threads of the session.</summary>
    public void ForEach(int count, delegate* unmanaged[Cdecl]<void*, nuint, void> body, void* data)
    {
        if (count == 1)
            body(data, 0);
        else
            OrtApi.ParallelFor(context, body, count, data);
    }
}

/// <summary>Memory of an operator while it computes.</summary>
internal readonly unsafe ref struct Scratch
{
    readonly nint _allocator;

    public Scratch(nint context, nuint bytes)
    {
        _allocator = OrtApi.Allocator(context);
        try
        {
            Data = OrtApi.Allocate(_allocator, bytes);
        }
        catch
        {
            OrtApi.ReleaseAllocator(_allocator);
            throw;
        }
    }

    public byte* Data { get; }

    public void Dispose()
    {
        if (_allocator == 0)
            return;

        OrtApi.Free(_allocator, Data);
        OrtApi.ReleaseAllocator(_allocator);
    }
}

/// <summary>A tensor in main memory.</summary>
internal readonly unsafe struct KernelTensor
{
    const int MaxRank = 8;

    readonly void* _data;
    readonly Dimensions _shape;

    public KernelTensor(nint value)
    {
        Span<long> shape = stackalloc long[MaxRank];
        Rank = OrtApi.Shape(value, shape);
        shape.CopyTo(_shape);
        _data = OrtApi.Data(value);
    }

    public int Rank { get; }

    /// <summary>Size of a dimension; negative indices count from the last.</summary>
    public int this[int dimension] => checked((int)_shape[dimension < 0 ? Rank + dimension : dimension]);

    /// <summary>Product of all dimensions but the last.</summary>
    public int Rows
    {
        get
        {
            long rows = 1;
            for (int i = 0; i < Rank - 1; i++)
                rows *= _shape[i];
            return checked((int)rows);
        }
    }

    public bool HasShapeOf(in KernelTensor other) =>
        ((ReadOnlySpan<long>)_shape)[..Rank].SequenceEqual(((ReadOnlySpan<long>)other._shape)[..other.Rank]);

    public void CopyShape(Span<long> shape) => ((ReadOnlySpan<long>)_shape)[..Rank].CopyTo(shape);

    public T* Data<T>() where T : unmanaged => (T*)_data;

    [System.Runtime.CompilerServices.InlineArray(MaxRank)]
    struct Dimensions
    {
        long _first;
    }
}
