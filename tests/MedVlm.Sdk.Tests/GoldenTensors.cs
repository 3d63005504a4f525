using System.Buffers.Binary;
using System.Text.Json;

namespace MedVlm.Tests;

/// <summary>The tensors of a golden's safetensors file, whole and as bytes. For trusted files: nothing is checked.</summary>
internal sealed class GoldenTensors
{
    readonly Dictionary<string, GoldenTensor> _tensors = [];

    public static GoldenTensors Load(string path)
    {
        var file = File.ReadAllBytes(path);
        int start = 8 + (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        var tensors = new GoldenTensors();
        using var header = JsonDocument.Parse(file.AsMemory(8..start));
        foreach (var entry in header.RootElement.EnumerateObject().Where(e => e.Name != "__metadata__"))
        {
            var offsets = entry.Value.GetProperty("data_offsets");
            var shape = entry.Value.GetProperty("shape").EnumerateArray().Select(n => n.GetInt32()).ToArray();
            tensors._tensors[entry.Name] = new(shape, file[(start + offsets[0].GetInt32())..(start + offsets[1].GetInt32())]);
        }

        return tensors;
    }

    public GoldenTensor this[string name] => _tensors[name];

    public GoldenTensor? Find(string name) => _tensors.GetValueOrDefault(name);
}

/// <summary>Shape and little-endian bytes of one tensor.</summary>
internal sealed record GoldenTensor(int[] Shape, byte[] Bytes);
