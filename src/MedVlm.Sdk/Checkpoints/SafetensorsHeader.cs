using System.Text.Json;
using System.Text.Unicode;

namespace MedVlm.Checkpoints;

/// <summary>The JSON header of a safetensors file: which tensor lies where.</summary>
/// <remarks>Read token by token, because a serialiser forgives what the reference refuses:
/// repeated fields, 1.0 for 1, lone surrogates.</remarks>
internal sealed class SafetensorsHeader
{
    const string MetadataKey = "__metadata__";
    const int DeepestNesting = 127;   // serde_json's, by which the reference reads

    const int LongestText = 16;       // dimensions that a message repeats: a hostile header can hold millions

    readonly SafetensorsFile file;
    readonly long dataStart;
    readonly Dictionary<string, StoredTensor> tensors = [];
    Dictionary<string, string>? metadata;

    SafetensorsHeader(SafetensorsFile file, long dataStart) => (this.file, this.dataStart) = (file, dataStart);

    public IReadOnlyDictionary<string, StoredTensor> Tensors => tensors;

    public IReadOnlyDictionary<string, string> Metadata => metadata ?? [];

    /// <summary>Reads the header and checks that its tensors cover the data exactly.</summary>
    public static SafetensorsHeader Parse(SafetensorsFile file, ReadOnlySpan<byte> json, long dataStart)
    {
        var header = new SafetensorsHeader(file, dataStart);
        if (!Utf8.IsValid(json))
            throw header.Bad("the header is not valid UTF-8");
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = DeepestNesting });
            header.ReadEntries(ref reader);
        }
        catch (JsonException e)
        {
            throw header.Bad($"the header is not valid JSON at line {(e.LineNumber ?? 0) + 1}, byte {(e.BytePositionInLine ?? 0) + 1}", e);
        }
        catch (InvalidOperationException e)   // GetString, on an escaped half of a surrogate pair
        {
            throw header.Bad("the header holds an escaped character that is not valid Unicode", e);
        }
        header.CheckCoverage();
        return header;
    }

    void ReadEntries(ref Utf8JsonReader reader)
    {
        reader.Read();
        Expect(reader.TokenType == JsonTokenType.StartObject, "the header is not a JSON object");
        bool metadataSeen = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            if (name == MetadataKey)
            {
                Expect(!metadataSeen, $"{MetadataKey} is there twice");
                metadataSeen = true;
                ReadMetadata(ref reader);
            }
            else
                Add(ReadTensor(ref reader, name));
        }
        reader.Read();   // throws where anything but white space follows
    }

    void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.Null)
            return;
        Expect(reader.TokenType == JsonTokenType.StartObject, $"{MetadataKey} is not an object");
        metadata = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            Expect(reader.TokenType == JsonTokenType.String, $"{MetadataKey} {Fault.Quote(key)} is not a string");
            metadata[key] = reader.GetString()!;
        }
    }

    StoredTensor ReadTensor(ref Utf8JsonReader reader, string name)
    {
        ExpectOf(name, reader.TokenType == JsonTokenType.StartObject, "the entry is not an object");
        TensorDtype? dtype = null;
        List<ulong>? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var field = reader.GetString()!;
            reader.Read();
            switch (field)
            {
                case "dtype":
                    ExpectOf(name, dtype is null, "dtype is there twice");
                    dtype = ReadDtype(ref reader, name);
                    break;
                case "shape":
                    ExpectOf(name, shape is null, "shape is there twice");
                    shape = ReadIntegers(ref reader, name, field);
                    break;
                case "data_offsets":
                    ExpectOf(name, offsets is null, "data_offsets is there twice");
                    offsets = ReadIntegers(ref reader, name, field);
                    break;
                default:
                    SkipValue(ref reader);
                    break;
            }
        }
        ExpectOf(name, dtype is not null, "dtype is missing");
        ExpectOf(name, shape is not null, "shape is missing");
        ExpectOf(name, offsets is not null, "data_offsets is missing");
        return Locate(name, dtype!.Value, shape!, offsets!);
    }

    TensorDtype ReadDtype(ref Utf8JsonReader reader, string name)
    {
        ExpectOf(name, reader.TokenType == JsonTokenType.String, "dtype is not a string");
        var stored = reader.GetString()!;
        return TensorDtypes.TryParse(stored, out var dtype)
            ? dtype
            : throw new CheckpointException($"{Where(name)}dtype {Fault.Quote(stored)} is not a type of safetensors. "
                + "Type names are upper case, as \"BF16\"; if the file is right, a newer version of this library may know the type.");
    }

    List<ulong> ReadIntegers(ref Utf8JsonReader reader, string name, string field)
    {
        ExpectOf(name, reader.TokenType == JsonTokenType.StartArray, $"{field} is not a list");
        var list = new List<ulong>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            ulong value = 0;
            ExpectOf(name, reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out value),
                $"{field} holds something other than whole numbers of 0 to 2^64-1");
            list.Add(value);
        }
        return list;
    }

    /// <summary>Passes over an unknown field. Its strings are decoded too: the reference refuses lone surrogates anywhere.</summary>
    static void SkipValue(ref Utf8JsonReader reader)
    {
        int depth = reader.CurrentDepth;
        do
        {
            if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName)
                reader.GetString();
        }
        while ((reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray or JsonTokenType.PropertyName
                || reader.CurrentDepth > depth) && reader.Read());
    }

    /// <summary>Turns an entry's numbers into a place in the file, without a sum or product that could wrap.</summary>
    StoredTensor Locate(string name, TensorDtype dtype, List<ulong> shape, List<ulong> offsets)
    {
        ExpectOf(name, offsets.Count == 2, $"data_offsets {Text(offsets)} are not two numbers");
        ulong begin = offsets[0], end = offsets[1], available = (ulong)(file.FileLength - dataStart);
        ulong elements = 1, bits;
        try
        {
            foreach (ulong size in shape)
                elements = checked(elements * size);
            bits = checked(elements * (ulong)dtype.Bits);
        }
        catch (OverflowException e)
        {
            throw new CheckpointException($"{Where(name)}{dtype.StoredName} {Text(shape)} is larger than any file. {Fault.FetchAgain}", e);
        }
        ExpectOf(name, shape.TrueForAll(size => size <= long.MaxValue), $"shape {Text(shape)} has a size beyond 2^63-1");
        ExpectOf(name, bits % 8 == 0, $"{dtype.StoredName} {Text(shape)} takes {bits} bits, which is no whole number of bytes");
        ExpectOf(name, begin <= end, $"data_offsets {Text(offsets)} end before they begin");
        ExpectOf(name, end - begin == bits / 8,
            $"data_offsets {Text(offsets)} hold {end - begin} bytes, but {dtype.StoredName} {Text(shape)} needs {bits / 8}");
        ExpectOf(name, end <= available, $"data_offsets {Text(offsets)} end beyond the {available} bytes of data in the file");
        return new StoredTensor(file, name, dtype, [.. shape.Select(size => (long)size)], (long)elements, dataStart + (long)begin,
            (long)(bits / 8));
    }

    /// <summary>The reference takes a repeated name only where nothing depends on which of the two counts.</summary>
    void Add(StoredTensor tensor)
    {
        if (tensors.TryAdd(tensor.Name, tensor))
            return;
        var first = tensors[tensor.Name];
        ExpectOf(tensor.Name, first.Dtype == tensor.Dtype && first.Offset == tensor.Offset && first.Shape.SequenceEqual(tensor.Shape),
            "the header lists this name twice, with different entries");
    }

    /// <summary>Tensors in order of their place leave no byte out and share none: no data can hide, none is read as two things.</summary>
    void CheckCoverage()
    {
        long next = dataStart;
        foreach (var tensor in tensors.Values.OrderBy(t => t.Offset).ThenBy(t => t.Length))
        {
            ExpectOf(tensor.Name, tensor.Offset == next, tensor.Offset > next
                ? $"{tensor.Offset - next} bytes before it belong to no tensor"
                : "its bytes are shared with another tensor");
            next += tensor.Length;
        }
        Expect(next == file.FileLength, $"{file.FileLength - next} bytes at the end belong to no tensor");
    }

    void Expect(bool condition, string fault)
    {
        if (!condition)
            throw Bad(fault);
    }

    void ExpectOf(string name, bool condition, string fault)
    {
        if (!condition)
            throw new CheckpointException($"{Where(name)}{fault}. {Fault.FetchAgain}");
    }

    CheckpointException Bad(string fault, Exception? cause = null) => new($"{file.FileName}: {fault}. {Fault.FetchAgain}", cause);

    string Where(string name) => $"{file.FileName}: tensor {Fault.Quote(name)}: ";

    static string Text(List<ulong> numbers) => numbers.Count <= LongestText
        ? $"[{string.Join(", ", numbers)}]"
        : $"[{string.Join(", ", numbers.Take(LongestText))}, … {numbers.Count} numbers]";
}
