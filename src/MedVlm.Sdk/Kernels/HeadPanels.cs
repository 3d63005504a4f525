namespace MedVlm.Kernels;

/// <summary>
/// Keys and values of one head as integers, a scale for each token, in the order in which <see cref="IntegerProduct"/> reads them.
/// </summary>
/// <remarks>
/// Keys: for 16 tokens, for each pair of dimensions, 16 tokens of two numbers. Values: for each pair of tokens, all dimensions of two numbers.
/// Which tokens are a pair follows from how the attention weights are packed to 16 bits (VPACKSSDW works on halves):
/// of 16 tokens 0 1, 2 3, 8 9, 10 11, 4 5, 6 7, 12 13, 14 15.
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

    /// <summary>16 dimensions of the values from a token on, for each pair of tokens.</summary>
    public byte* Values(int firstToken, int firstDimension) => _values + ((nint)firstToken * _width + 2 * firstDimension) * T.Size;

    /// <summary>Bytes from a pair of tokens' values to the next.</summary>
    public nint ValueStride => (nint)_width * 2 * T.Size;

    /// <summary>Quantises a token's key.</summary>
    /// <param name="token">Its place.</param>
    /// <param name="key">[headSize].</param>
    /// <param name="headSize">Dimensions.</param>
    public void SetKey(int token, float* key, int headSize)
    {
        short* numbers = stackalloc short[_width];
        KeyScales[token] = RowNumbers.Quantise(key, headSize, T.KeyRange, numbers, _width);
        byte* panel = Keys(token / Tokens * Tokens) + token % Tokens * 2 * T.Size;
        for (int i = 0; i < _width; i += 2, panel += 2 * Tokens * T.Size)
        {
            T.Store(panel, numbers[i]);
            T.Store(panel + T.Size, numbers[i + 1]);
        }
    }

    /// <summary>Quantises a token's value.</summary>
    public void SetValue(int token, float* value, int headSize)
    {
        short* numbers = stackalloc short[_width];
        ValueScales[token] = RowNumbers.Quantise(value, headSize, T.ValueRange, numbers, _width);
        int place = Place(token % Tokens);
        byte* panel = Values(token / Tokens * Tokens + place / 2 * 2, 0) + place % 2 * T.Size;
        for (int i = 0; i < _width; i++, panel += 2 * T.Size)
            T.Store(panel, numbers[i]);
    }

    // Bits 2 and 3 change places: 0..3, 8..11, 4..7, 12..15.
    static int Place(int token) => token & ~12 | (token & 4) << 1 | (token & 8) >> 1;
}
