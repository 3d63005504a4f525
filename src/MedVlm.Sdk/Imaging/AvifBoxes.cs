using System.Buffers.Binary;

namespace MedVlm.Imaging;

/// <summary>The little of an AVIF file's structure (ISO/IEC 14496-12 boxes) that is read here rather than by libheif.</summary>
internal static class AvifBoxes
{
    const int HeaderBytes = 8;   // size and type, 32 bits each

    /// <summary>The largest size that an image spatial extents property ("ispe") claims; null where there is none.</summary>
    /// <remarks>
    /// Its sides have 32 bits, which libvips 8.18 passes on to an image type that holds 10^8: it then goes on with a side of 1, and a
    /// complaint on the console, until the decoder finds the contradiction. So the claim is checked first.
    /// </remarks>
    public static (long Width, long Height)? ClaimedSize(ReadOnlySpan<byte> file)
    {
        (long Width, long Height)? largest = null;
        for (var rest = Box(file, "meta"u8); rest.IndexOf("ispe"u8) is >= 0 and var at && rest.Length >= at + 16; rest = rest[(at + 16)..])
        {
            // "ispe", version and flags, width, height: 32 bits each
            long width = BinaryPrimitives.ReadUInt32BigEndian(rest[(at + 8)..]), height = BinaryPrimitives.ReadUInt32BigEndian(rest[(at + 12)..]);
            largest = (Math.Max(width, largest?.Width ?? 0), Math.Max(height, largest?.Height ?? 0));
        }

        return largest;
    }

    /// <summary>The content of the first top-level box of a type; empty where there is none.</summary>
    static ReadOnlySpan<byte> Box(ReadOnlySpan<byte> file, ReadOnlySpan<byte> type)
    {
        while (file.Length >= HeaderBytes)
        {
            ulong size = BinaryPrimitives.ReadUInt32BigEndian(file);
            if (size == 1 && file.Length >= HeaderBytes + 8)
                size = BinaryPrimitives.ReadUInt64BigEndian(file[HeaderBytes..]);
            if (size < HeaderBytes || size > (ulong)file.Length)   // 0: to the end of the file; anything else is damage
                size = (ulong)file.Length;
            if (file.Slice(4, 4).SequenceEqual(type))
                return file[HeaderBytes..(int)size];
            file = file[(int)size..];
        }

        return [];
    }
}
