using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MedVlm.Imaging;

/// <summary>Turns a band of rows on its side and back, byte by byte.</summary>
/// <remarks>
/// The work is done in tiles of 8 x 8 bytes, each tile row being one 64-bit lane: three rounds of masked swaps (4, 2, 1 bytes apart;
/// Hacker's Delight, 7-3) transpose the four tiles that lie side by side in a vector at once.
/// </remarks>
internal static class Transpose
{
    /// <summary>Rows in a band: as many as the vectors of <see cref="WeightedRows"/> have bytes.</summary>
    public const int Band = 32;

    const int Tile = 8;

    /// <summary>Rows [up to 32, <paramref name="rowBytes"/>] to columns [<paramref name="rowBytes"/>, 32]; missing rows repeat the last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RowsToColumns(ReadOnlySpan<byte> rows, int rowBytes, Span<byte> columns)
    {
        int count = rows.Length / rowBytes;
        columns = columns[..(rowBytes * Band)];
        int x = 0;
        for (; x <= rowBytes - Vector256<byte>.Count; x += Vector256<byte>.Count)
            for (int y = 0; y < Band; y += Tile)
            {
                var lanes = default(Lanes);
                for (int i = 0; i < Tile; i++)
                    lanes[i] = Vector256.Create(rows.Slice(Math.Min(y + i, count - 1) * rowBytes + x, Vector256<byte>.Count)).AsUInt64();
                TransposeTiles(ref lanes);
                for (int tile = 0; tile < Vector256<ulong>.Count; tile++)
                    for (int i = 0; i < Tile; i++)
                        Write(columns, (x + tile * Tile + i) * Band + y, lanes[i][tile]);
            }

        for (; x < rowBytes; x++)
            for (int y = 0; y < Band; y++)
                columns[x * Band + y] = rows[Math.Min(y, count - 1) * rowBytes + x];
    }

    /// <summary>Columns [<paramref name="rowBytes"/>, 32] back to rows [up to 32, <paramref name="rowBytes"/>].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ColumnsToRows(ReadOnlySpan<byte> columns, int rowBytes, Span<byte> rows)
    {
        int count = rows.Length / rowBytes;
        columns = columns[..(rowBytes * Band)];
        int x = 0;
        for (; x <= rowBytes - Tile; x += Tile)
        {
            var lanes = default(Lanes);
            for (int i = 0; i < Tile; i++)
                lanes[i] = Vector256.Create(columns.Slice((x + i) * Band, Band)).AsUInt64();
            TransposeTiles(ref lanes);
            for (int y = 0; y < count; y++)
                Write(rows, y * rowBytes + x, lanes[y % Tile][y / Tile]);
        }

        for (; x < rowBytes; x++)
            for (int y = 0; y < count; y++)
                rows[y * rowBytes + x] = columns[x * Band + y];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void TransposeTiles(ref Lanes lanes)
    {
        Swap(ref lanes, 4, 32, 0x0000_0000_FFFF_FFFF);
        Swap(ref lanes, 2, 16, 0x0000_FFFF_0000_FFFF);
        Swap(ref lanes, 1, 8, 0x00FF_00FF_00FF_00FF);
    }

    /// <summary>Exchanges the high half of each lane with the low half of the lane <paramref name="distance"/> rows below.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Swap(ref Lanes lanes, int distance, int bits, ulong lowHalf)
    {
        var mask = Vector256.Create(lowHalf);
        for (int i = 0; i < Tile; i++)
        {
            if ((i & distance) != 0)
                continue;
            var (upper, lower) = (lanes[i], lanes[i + distance]);
            var differ = ((upper >>> bits) ^ lower) & mask;
            lanes[i] = upper ^ (differ << bits);
            lanes[i + distance] = lower ^ differ;
        }
    }

    /// <summary>Stores one row of a tile. (The swaps are written for little-endian lanes, which is all that .NET supports with vectors.)</summary>
    static void Write(Span<byte> target, int at, ulong lane) => MemoryMarshal.Write(target.Slice(at, Tile), lane);

    [InlineArray(Tile)]
    struct Lanes
    {
        Vector256<ulong> _first;
    }
}
