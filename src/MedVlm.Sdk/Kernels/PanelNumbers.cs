using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Kernels;

/// <summary>How the integers of a panel are stored: the multiplication widens them to 16 bits as it reads.</summary>
internal unsafe interface IPanelNumber
{
    /// <summary>Bytes of a number.</summary>
    static abstract int Size { get; }

    /// <summary>Largest magnitude of a key.</summary>
    static abstract int KeyRange { get; }

    /// <summary>Largest magnitude of a value.</summary>
    static abstract int ValueRange { get; }

    /// <summary>16 numbers.</summary>
    static abstract Vector256<short> Load(byte* address);

    /// <summary>32 numbers; only with AVX-512.</summary>
    static abstract Vector512<short> LoadAll(byte* address);

    /// <summary>Puts a number down.</summary>
    static abstract void Store(byte* address, short number);

    /// <summary>Puts two numbers down.</summary>
    static abstract void StorePair(byte* address, short* numbers);

    /// <summary>Puts 16 numbers down.</summary>
    static abstract void Store(byte* address, Vector128<short> low, Vector128<short> high);
}

/// <summary>8 bits: what the KV cache holds.</summary>
internal readonly unsafe struct Panel8 : IPanelNumber
{
    public static int Size => sizeof(sbyte);

    public static int KeyRange => 127;

    public static int ValueRange => 127;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> Load(byte* address) => Avx2.ConvertToVector256Int16((sbyte*)address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> LoadAll(byte* address) => Avx512BW.ConvertToVector512Int16(Avx.LoadVector256((sbyte*)address));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, short number) => *(sbyte*)address = (sbyte)number;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePair(byte* address, short* numbers)
    {
        Store(address, numbers[0]);
        Store(address + Size, numbers[1]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, Vector128<short> low, Vector128<short> high) => Sse2.PackSignedSaturate(low, high).Store((sbyte*)address);
}

/// <summary>16 bits, of which 12 are used for keys and 11 for values: what is made for one run.</summary>
internal readonly unsafe struct Panel16 : IPanelNumber
{
    public static int Size => sizeof(short);

    public static int KeyRange => 2047;

    public static int ValueRange => 1023;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> Load(byte* address) => Avx.LoadVector256((short*)address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> LoadAll(byte* address) => Avx512BW.LoadVector512((short*)address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, short number) => *(short*)address = number;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePair(byte* address, short* numbers) => *(int*)address = *(int*)numbers;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, Vector128<short> low, Vector128<short> high)
    {
        low.Store((short*)address);
        high.Store((short*)address + Vector128<short>.Count);
    }
}
