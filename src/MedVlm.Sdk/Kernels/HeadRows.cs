using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Kernels;

/// <summary>
/// Rows of one head within [tokens, heads·d], each times a scale of its own and plus a bias if there are any (<see cref="ScaleRowsOperator"/>).
/// </summary>
internal unsafe struct HeadRows
{
    // Rows lie too far apart for the processor to foresee them.
    const int RowsAhead = 4;

    float* _numbers;
    float* _scales;
    float* _bias;
    nint _stride;
    int _headSize;

    /// <summary>An input of a node, with scale and bias in the two inputs from <paramref name="scales"/> on.</summary>
    public static HeadRows Of(KernelContext context, int index, int? scales = null) => new()
    {
        _numbers = context.Input(index).Data<float>(),
        _scales = scales is { } first ? context.OptionalData<float>(first) : null,
        _bias = scales is { } second ? context.OptionalData<float>(second + 1) : null,
    };

    /// <summary>Rows of some heads as they lie.</summary>
    public static HeadRows Of(float* numbers, int head, int heads, int headSize) => new HeadRows { _numbers = numbers }.Of(head, heads, headSize);

    /// <summary>Size of a head.</summary>
    public readonly int HeadSize => _headSize;

    /// <summary>Numbers from a token's to the next one's.</summary>
    public readonly nint Stride => _stride;

    /// <summary>The rows of some heads, beside each other.</summary>
    /// <param name="head">The first.</param>
    /// <param name="heads">Heads in all.</param>
    /// <param name="headSize">Size of a head.</param>
    public readonly HeadRows Of(int head, int heads, int headSize)
    {
        var rows = this;
        nint first = (nint)head * headSize;
        (rows._stride, rows._headSize) = ((nint)heads * headSize, headSize);
        rows._numbers += first;
        if (_bias != null)
            rows._bias += first;
        return rows;
    }

    /// <summary>A row.</summary>
    /// <param name="token">Its token.</param>
    /// <param name="buffer">[d]: memory for it, where it is to be computed.</param>
    /// <param name="head">Its head, counted from the first one.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly float* Row(int token, float* buffer, int head = 0)
    {
        float* row = _numbers + token * _stride + head * (nint)_headSize;
        for (int i = 0; i < _headSize; i += 16)
            Sse.Prefetch0(row + RowsAhead * _stride + i);
        if (_scales == null)
            return row;

        ScaleRowsOperator.Row(row, _scales[token], _bias == null ? null : _bias + head * (nint)_headSize, null, buffer, _headSize);
        return buffer;
    }
}
