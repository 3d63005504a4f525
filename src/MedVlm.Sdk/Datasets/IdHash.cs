using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace MedVlm.Datasets;

/// <summary>Hash of an item's id, which stands for it in memory and decides its shard: SHA-256 of its UTF-8 bytes.</summary>
/// <param name="Key">The first 16 bytes: what tells ids apart. Two of a million share one with a probability of 10^-27.</param>
/// <param name="Place">The 8 bytes after them, as a big-endian number: what the shard is chosen by.</param>
internal readonly record struct IdHash(UInt128 Key, ulong Place)
{
    const int StackBytes = 512;

    public static IdHash Of(string id)
    {
        int length = Encoding.UTF8.GetMaxByteCount(id.Length);
        Span<byte> bytes = length <= StackBytes ? stackalloc byte[StackBytes] : new byte[length];
        return Of(bytes[..Encoding.UTF8.GetBytes(id, bytes)]);
    }

    public static IdHash Of(ReadOnlySpan<byte> utf8)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(utf8, hash);
        return new(BinaryPrimitives.ReadUInt128BigEndian(hash), BinaryPrimitives.ReadUInt64BigEndian(hash[16..]));
    }
}
