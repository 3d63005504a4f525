using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Kernels;

/// <summary>
/// Rows of one head within [tokens, heads·d]: floats, or integers with scales of rows and columns, and a bias if there is one
/// (<see cref="ScaleRowsOperator"/>).
/// </summary>
internal unsafe struct HeadRows
{
    // Rows lie too far apart for the processor to foresee them.
    const int RowsAhead = 4;

    float* _numbers;        // int32 where there are scales, which is as wide
    float* _scales;
    float* _columns;
    float* _bias;
    nint _stride;
    int _headSize;

    /// <summary>An input of a node, floats.</summary>
    public static HeadRows Of(KernelContext context, int index) => new() { _numbers = context.Input(index).Data<float>() };

    /// <summary>An input of a node, integers.</summary>
    /// <param name="context">The node's inputs.</param>
    /// <param name="index">The input.</param>
    /// <param name="scales">The input with the rows' scales; the columns' are in the next.</param>
    /// <param name="bias">The input with the bias, which may have been left out.</param>
    public static HeadRows Of(KernelContext context, int index, int scales, int bias) => new()
    {
        _numbers = context.Input(index).Data<float>(), _scales = context.Input(scales).Data<float>(), _columns = context.Input(scales + 1).Data<float>(),
        _bias = context.OptionalData<float>(bias),
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
        if (_scales != null)
            rows._columns += first;
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

        nint first = head * (nint)_headSize;
        ScaleRowsOperator.Row((int*)row, _scales[token], _columns + first, _bias == null ? null : _bias + first, null, buffer, _headSize);
        return buffer;
    }
}
