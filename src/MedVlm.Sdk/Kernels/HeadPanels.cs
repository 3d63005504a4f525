using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Kernels;

/// <summary>
/// Keys and values of one head as integers, a scale for each token, in the order in which <see cref="IntegerProduct"/> reads them.
/// </summary>
/// <remarks>
/// Keys: for 16 tokens, for each pair of dimensions, 16 tokens of two numbers. Values: for each pair of tokens, all dimensions of two numbers.
/// </remarks>
internal readonly unsafe struct HeadPanels<T> where T : struct, IPanelNumber
{
    /// <summary>Tokens of a panel of keys; room for tokens is a multiple of it.</summary>
    public const int Tokens = IntegerProduct.Columns;

    readonly int _width;
    readonly byte* _keys;
    readonly byte* _values;

    /// <param name="headSize">Dimensions of a head.</param>
    /// <param name="room">Tokens that there is room for.</param>
    /// <param name="keys">Memory of the keys: <see cref="Bytes"/>.</param>
    /// <param name="values">Memory of the values: as much.</param>
    public HeadPanels(int headSize, int room, byte* keys, byte* values)
    {
        _width = Width(headSize);
        _keys = keys;
        _values = values;
        nint numbers = (nint)room * _width * T.Size;
        KeyScales = (float*)(keys + numbers);
        ValueScales = (float*)(values + numbers);
    }

    /// <summary>What a key is worth: its numbers times this.</summary>
    public float* KeyScales { get; }

    public float* ValueScales { get; }

    /// <summary>Dimensions of a head with those of zeros that fill it up.</summary>
    public static int Width(int headSize) => (headSize + IntegerProduct.Columns - 1) / IntegerProduct.Columns * IntegerProduct.Columns;

    /// <summary>Bytes of the keys, or of the values, of a head.</summary>
    public static long Bytes(int headSize, int room) => room * RowBytes(headSize);

    /// <summary>The same for each token.</summary>
    public static long RowBytes(int headSize) => (long)Width(headSize) * T.Size + sizeof(float);

    /// <summary>The keys of 16 tokens, for each pair of dimensions.</summary>
    public byte* Keys(int firstToken) => _keys + (nint)firstToken * _width * T.Size;

    /// <summary>Bytes from a pair of dimensions to the next one's keys.</summary>
    public static nint KeyStride => 2 * Tokens * T.Size;

    /// <summary>Bytes from the keys of 16 tokens to those of the next.</summary>
    public nint NextKeys => (nint)Tokens * _width * T.Size;

    /// <summary>The values from a token on, an even one, for each pair of tokens.</summary>
    public byte* Values(int firstToken) => _values + (nint)firstToken * _width * T.Size;

    /// <summary>Bytes from a pair of tokens' values to the next.</summary>
    public nint ValueStride => (nint)_width * 2 * T.Size;

    /// <summary>Bytes from 16 dimensions of the values to the next.</summary>
    public static nint NextValues => 2 * IntegerProduct.Columns * T.Size;

    /// <summary>Quantises a token's key.</summary>
    /// <param name="token">Its place.</param>
    /// <param name="key">[headSize].</param>
    /// <param name="headSize">Dimensions.</param>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void SetKey(int token, float* key, int headSize)
    {
        short* numbers = stackalloc short[_width];
        KeyScales[token] = RowNumbers.Quantise(key, headSize, T.KeyRange, numbers, _width);
        byte* panel = Keys(token / Tokens * Tokens) + token % Tokens * 2 * T.Size;
        for (int i = 0; i < _width; i += 2, panel += KeyStride)
            T.StorePair(panel, numbers + i);
    }

    /// <summary>Quantises a token's value.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void SetValue(int token, float* value, int headSize)
    {
        short* numbers = stackalloc short[_width];
        ValueScales[token] = RowNumbers.Quantise(value, headSize, T.ValueRange, numbers, _width);
        byte* panel = Values(token / 2 * 2) + token % 2 * T.Size;
        for (int i = 0; i < _width; i++, panel += 2 * T.Size)
            T.Store(panel, numbers[i]);
    }

    /// <summary>Quantises the values of two tokens, of which the first is even: they are a pair, and lie beside each other.</summary>
    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void SetValues(int token, float* value, float* next, int headSize)
    {
        short* numbers = stackalloc short[2 * _width];
        short* second = numbers + _width;
        ValueScales[token] = RowNumbers.Quantise(value, headSize, T.ValueRange, numbers, _width);
        ValueScales[token + 1] = RowNumbers.Quantise(next, headSize, T.ValueRange, second, _width);
        byte* panel = Values(token);
        for (int i = 0; i < _width; i += 8, panel += 16 * T.Size)
        {
            var (a, b) = (Sse2.LoadVector128(numbers + i), Sse2.LoadVector128(second + i));
            T.Store(panel, Sse2.UnpackLow(a, b), Sse2.UnpackHigh(a, b));
        }
    }

    /// <summary>Quantises the keys and values of tokens that follow each other.</summary>
    /// <param name="token">The place of the first.</param>
    /// <param name="count">Tokens.</param>
    /// <param name="keys">The head's keys.</param>
    /// <param name="values">Its values.</param>
    /// <param name="first">The first token in them.</param>
    [SkipLocalsInit]
    public void Set(int token, int count, in HeadRows keys, in HeadRows values, int first)
    {
        int headSize = keys.HeadSize;
        float* buffer = stackalloc float[2 * headSize];
        for (int i = 0; i < count; i++)
            SetKey(token + i, keys.Row(first + i, buffer), headSize);

        int next = 0;
        if (token % 2 == 1 && count > 0)
            SetValue(token, values.Row(first + next++, buffer), headSize);
        for (; next + 2 <= count; next += 2)
            SetValues(token + next, values.Row(first + next, buffer), values.Row(first + next + 1, buffer + headSize), headSize);
        if (next < count)
            SetValue(token + next, values.Row(first + next, buffer), headSize);
    }
}
