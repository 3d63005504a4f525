using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>SHA-256 of a file's content as a tree: of the hashes of its parts of 4 MiB, which are computed on all cores.</summary>
internal static class ContentHash
{
    const int PartLength = 4 << 20;

    /// <summary>Hash of an open file, from a place to its end.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static string Of(SafeFileHandle file, long start, CancellationToken cancellationToken)
    {
        long length = RandomAccess.GetLength(file) - start;
        var hashes = new byte[(length + PartLength - 1) / PartLength][];
        ParallelLoop.For(
            hashes.Length, () => new byte[PartLength],
            (part, _, buffer) =>
            {
                var bytes = buffer.AsSpan(0, (int)Math.Min(PartLength, length - part * PartLength));
                for (int read = 0; read < bytes.Length;)
                    read += RandomAccess.Read(file, bytes[read..], start + part * PartLength + read) is > 0 and var more
                        ? more
                        : throw new EndOfStreamException("The file became shorter while it was read.");
                hashes[part] = SHA256.HashData(bytes);
            }, cancellationToken);
        return Convert.ToHexStringLower(SHA256.HashData(hashes.SelectMany(hash => hash).ToArray()));
    }
}
