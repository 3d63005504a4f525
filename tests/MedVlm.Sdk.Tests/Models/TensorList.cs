using System.Text.Json;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>Names and shapes of a full-size model's tensors: tests/configs/&lt;family&gt;/tensors.json.</summary>
internal static class TensorList
{
    public static string Configs(string family) => Path.Combine(TestFolders.Repository, "tests", "configs", family);

    public static Dictionary<string, WeightInfo> Read(string family) => ReadFrom(Configs(family));

    public static Dictionary<string, WeightInfo> ReadFrom(string folder)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "tensors.json")));
        return json.RootElement.EnumerateObject().ToDictionary(
            tensor => tensor.Name,
            tensor => new WeightInfo("model.safetensors", [.. tensor.Value[1].EnumerateArray().Select(size => size.GetInt64())]));
    }

    /// <summary>Every stored tensor that the graphs ask for, those of the host included.</summary>
    public static IEnumerable<string> Asked(ModelGraphs graphs) =>
        graphs.Vision.Weights.Concat(graphs.Decoder.Weights).Select(use => use.StoredName)
            .Append(graphs.TokenEmbedding)
            .Concat(graphs.PositionEmbedding is { } positions ? [positions] : [])
            .Distinct();

    /// <summary>A tensor of another shape, one that is missing and one too many are each refused by name.</summary>
    /// <param name="family">Whose tensors.</param>
    /// <param name="name">The tensor that is at fault.</param>
    /// <param name="build">Builds the family's graphs with these tensors.</param>
    public static void AssertFaultsAreNamed(string family, string name, Func<Dictionary<string, WeightInfo>, ModelGraphs> build)
    {
        var tensors = Read(family);
        var shape = tensors[name].Shape;

        tensors[name] = new WeightInfo("model.safetensors", [.. shape.SkipLast(1), shape[^1] + 1]);
        Assert.Contains($"tensor \"{name}\" is [", Assert.Throws<CheckpointException>(() => build(tensors)).Message);

        tensors.Remove(name);
        Assert.Contains($"no tensor \"{name}\"", Assert.Throws<CheckpointException>(() => build(tensors)).Message);

        tensors[name] = new WeightInfo("model.safetensors", shape);
        tensors[$"{name}.more"] = new WeightInfo("model.safetensors", shape);
        Assert.Contains($"\"{name}.more\"", Assert.Throws<CheckpointException>(() => build(tensors)).Message);
    }

    /// <summary>Writes a safetensors file of float32 zeros, which takes no room on the disk.</summary>
    public static void WriteZeros(string path, IEnumerable<KeyValuePair<string, WeightInfo>> tensors)
    {
        long end = 0;
        var entries = tensors.Select(tensor =>
        {
            long start = end;
            end += tensor.Value.Shape.Aggregate(4L, (bytes, size) => bytes * size);
            return $"\"{tensor.Key}\":{{\"dtype\":\"F32\",\"shape\":[{string.Join(',', tensor.Value.Shape)}],\"data_offsets\":[{start},{end}]}}";
        }).ToList();

        var header = SafetensorsBytes.Of(Padded($"{{{string.Join(',', entries)}}}"));
        using var file = File.Create(path);
        file.Write(header);
        file.SetLength(header.Length + end);
    }

    // To a multiple of 8: a tensor that lies askew is copied rather than mapped.
    static string Padded(string header) => header.PadRight((header.Length + 7) / 8 * 8);
}
