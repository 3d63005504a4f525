using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>
/// The safetensors file that holds the quantised form of a checkpoint. Its header is known beforehand; the checksum of the data is set
/// last, so that a file that was left half-way never has the right one.
/// </summary>
internal static class QuantisedFile
{
    public const string Checksum = "checksum";

    const int Alignment = 64;   // of the data, as memory wants it

    static readonly string s_noChecksum = new('0', 64);

    /// <summary>Writes a file.</summary>
    /// <param name="file">An empty file, open for reading and writing.</param>
    /// <param name="tensors">What it shall hold.</param>
    /// <param name="metadata">What it says about itself.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="CheckpointException">The weights cannot be quantised.</exception>
    public static void Write(
        FileStream file, IReadOnlyList<QuantisedTensor> tensors, IReadOnlyDictionary<string, string> metadata, CancellationToken cancellationToken)
    {
        var ordered = tensors.OrderByDescending(tensor => tensor.Part.Dtype.Bits).ToList();   // the widest first: then each lies at a multiple of its size
        var places = new Dictionary<string, long>();
        long end = 0;
        foreach (var tensor in ordered)
        {
            places.Add(tensor.Name, end);
            end += tensor.Length;
        }

        Write(file, [.. ordered.Select(tensor => (tensor.Name, tensor.Part.Dtype, tensor.Shape, tensor.Length))], metadata, start => Quantiser.Make(tensors, (tensor, bytes) =>
        {
            using (bytes)
                Write(file, start + places[tensor.Name], bytes, cancellationToken);
        }, cancellationToken), cancellationToken);
    }

    /// <summary>Writes a file of vectors.</summary>
    /// <inheritdoc cref="Write(FileStream, IReadOnlyList{QuantisedTensor}, IReadOnlyDictionary{string, string}, CancellationToken)"/>
    public static void Write(
        FileStream file, IReadOnlyList<(string Name, float[] Values)> vectors, IReadOnlyDictionary<string, string> metadata, CancellationToken cancellationToken) =>
        Write(
            file, [.. vectors.Select(vector => (vector.Name, TensorDtype.F32, new long[] { vector.Values.Length }, (long)vector.Values.Length * sizeof(float)))], metadata,
            start =>
            {
                file.Position = start;
                foreach (var (_, values) in vectors)
                    file.Write(MemoryMarshal.AsBytes<float>(values));
            }, cancellationToken);

    static void Write(
        FileStream file, IReadOnlyList<(string Name, TensorDtype Dtype, long[] Shape, long Length)> tensors, IReadOnlyDictionary<string, string> metadata,
        Action<long> writeData, CancellationToken cancellationToken)
    {
        var header = Header(tensors, metadata, s_noChecksum);
        file.SetLength(header.Length + tensors.Sum(tensor => tensor.Length));   // fails here where the disk is full, on systems that can tell
        file.Write(header);
        writeData(header.Length);

        // Read back from the file: what the checksum covers is what the system has taken.
        file.Flush();
        var checksum = ContentHash.Of(file.SafeFileHandle, header.Length, cancellationToken);
        file.Position = 0;
        file.Write(Header(tensors, metadata, checksum));
        file.Flush(flushToDisk: true);
    }

    /// <summary>Opens a file and checks all of it: header, every tensor's type and shape, and the checksum of the data.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensors">What it shall hold.</param>
    /// <param name="contentFrom">Hash of the file's content from a place to its end.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="CheckpointException">It cannot be opened, or is not the file that <see cref="Write(FileStream, IReadOnlyList{QuantisedTensor}, IReadOnlyDictionary{string, string}, CancellationToken)"/> wrote.</exception>
    public static SafetensorsFile Open(string path, IReadOnlyList<QuantisedTensor> tensors, Func<long, string> contentFrom)
    {
        var file = SafetensorsFile.Open(path);
        try
        {
            foreach (var tensor in tensors)
                if (file.Tensors.GetValueOrDefault(tensor.Name) is not { } stored || stored.Dtype != tensor.Part.Dtype || !stored.Shape.SequenceEqual(tensor.Shape))
                    throw Damaged($"does not hold tensor {Fault.Quote(tensor.Name)} as it was written");
            if (file.Tensors.Count != tensors.Count)
                throw Damaged("holds tensors that were not written");

            if (!IsWhole(file, contentFrom))
                throw Damaged("does not have the content that it was written with");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }

        CheckpointException Damaged(string what) => new($"{Path.GetFileName(path)}: the file of the cache {what}.");
    }

    /// <summary>Whether a file's data have the checksum that they were written with.</summary>
    /// <param name="file">The file.</param>
    /// <param name="contentFrom">Hash of the file's content from a place to its end.</param>
    static bool IsWhole(SafetensorsFile file, Func<long, string> contentFrom)
    {
        long start = file.Tensors.Count == 0 ? file.FileLength : file.Tensors.Values.Min(tensor => tensor.Offset);
        return contentFrom(start) == file.Metadata.GetValueOrDefault(Checksum);
    }

    static unsafe void Write(FileStream file, long place, NativeBuffer bytes, CancellationToken cancellationToken)
    {
        const int Most = 16 << 20;
        file.Position = place;
        for (nuint at = 0; at < bytes.Length; at += Most)
        {
            cancellationToken.ThrowIfCancellationRequested();
            file.Write(new ReadOnlySpan<byte>(bytes.Data + at, (int)Math.Min(Most, bytes.Length - at)));
        }
    }

    static byte[] Header(
        IReadOnlyList<(string Name, TensorDtype Dtype, long[] Shape, long Length)> tensors, IReadOnlyDictionary<string, string> metadata, string checksum)
    {
        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("__metadata__");
            foreach (var (key, value) in metadata)
                writer.WriteString(key, value);
            writer.WriteString(Checksum, checksum);
            writer.WriteEndObject();

            long offset = 0;
            foreach (var tensor in tensors)
            {
                writer.WriteStartObject(tensor.Name);
                writer.WriteString("dtype", tensor.Dtype.StoredName);
                writer.WriteStartArray("shape");
                foreach (long size in tensor.Shape)
                    writer.WriteNumberValue(size);
                writer.WriteEndArray();
                writer.WriteStartArray("data_offsets");
                writer.WriteNumberValue(offset);
                writer.WriteNumberValue(offset += tensor.Length);
                writer.WriteEndArray();
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }

        int length = (int)(sizeof(long) + json.Length + Alignment - 1) / Alignment * Alignment;
        var header = new byte[length];
        BinaryPrimitives.WriteInt64LittleEndian(header, length - sizeof(long));
        json.ToArray().CopyTo(header, sizeof(long));
        header.AsSpan(sizeof(long) + (int)json.Length).Fill((byte)' ');
        return header;
    }
}
