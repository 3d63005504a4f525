using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

/// <summary>The official library's verdicts and tensors, file by file.</summary>
[Trait("Category", "Golden")]
public sealed class SafetensorsGoldenTests
{
    public static TheoryData<string> Files => new(SafetensorsGoldens.Names("files"));

    public static TheoryData<string> Indexes => new(SafetensorsGoldens.Names("index"));

    [Theory(SkipTestWithoutData = true), MemberData(nameof(Files))]
    public void Reads_or_refuses_what_the_reference_does(string name)
    {
        var golden = SafetensorsGoldens.Case("files", name);
        var path = Path.Combine(SafetensorsGoldens.Folder, name);
        if (!golden.IsValid())
        {
            var fault = Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path));
            Assert.StartsWith($"{name}: ", fault.Message, StringComparison.Ordinal);
            Assert.EndsWith(".", fault.Message, StringComparison.Ordinal);
            return;
        }

        using var file = SafetensorsFile.Open(path);

        Assert.Equal(
            golden.GetProperty("tensors").EnumerateObject().Select(Described).Order(),
            file.Tensors.Values.Select(Described).Order());
        Assert.All(file.Tensors, t => Assert.Equal(t.Key, t.Value.Name));
        Assert.Equal(Metadata(golden), file.Metadata);
    }

    [Theory(SkipTestWithoutData = true), MemberData(nameof(Indexes))]
    public void Follows_an_index_only_to_shards_beside_it(string name)
    {
        var golden = SafetensorsGoldens.Case("index", name);
        var index = Path.Combine(SafetensorsGoldens.Folder, name);
        using var folder = new TemporaryFolder();
        folder.Write("config.json", "{}");
        File.Copy(index, folder.File("model.safetensors.index.json"));
        foreach (var shard in Directory.EnumerateFiles(Path.GetDirectoryName(index)!, "*.safetensors"))
            File.Copy(shard, folder.File(Path.GetFileName(shard)));
        if (!golden.IsValid())
        {
            var fault = Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path));
            Assert.StartsWith("model.safetensors.index.json: ", fault.Message, StringComparison.Ordinal);
            return;
        }

        using var checkpoint = Checkpoint.Open(folder.Path);

        using var json = JsonDocument.Parse(File.ReadAllBytes(index));
        var map = json.RootElement.GetProperty("weight_map").EnumerateObject().ToDictionary(e => e.Name, e => e.Value.GetString()!);
        Assert.Equal(map.Keys.Order(), checkpoint.Tensors.Keys.Order());
        Assert.All(checkpoint.Tensors, t => Assert.Equal(Path.GetFileName(map[t.Key]), t.Value.File.FileName));
    }

    [Fact]
    public void Decodes_every_stored_float_as_the_reference()
    {
        var values = Path.Combine(SafetensorsGoldens.Folder, "values.json");
        if (!File.Exists(values))
            Assert.Skip("This goldens folder has no decoded safetensors values.");
        using var json = JsonDocument.Parse(File.ReadAllBytes(values));
        using var file = SafetensorsFile.Open(Path.Combine(SafetensorsGoldens.Folder, "ok_values.safetensors"));
        foreach (var expected in json.RootElement.EnumerateObject())
        {
            var tensor = file.Tensors[expected.Name];
            var decoded = new float[tensor.Elements];

            Widen.ToFloat32(tensor, decoded);

            // By bits, so that -0 is not 0.
            Assert.Equal(expected.Value.EnumerateArray().Select(Bits), decoded.Select(Bits));
        }
    }

    static string Described(JsonProperty t) =>
        $"{t.Name} {t.Value.GetProperty("dtype")} [{string.Join(", ", t.Value.GetProperty("shape").EnumerateArray())}] "
        + t.Value.GetProperty("sha256").GetString();

    static string Described(StoredTensor t) =>
        $"{t.Name} {t} {Convert.ToHexStringLower(SHA256.HashData(t.Bytes(0, (int)t.Length)))}";

    static Dictionary<string, string> Metadata(JsonElement golden) =>
        golden.TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object
            ? metadata.EnumerateObject().ToDictionary(e => e.Name, e => e.Value.GetString()!)
            : [];

    static string Bits(JsonElement value) => Bits(value.ValueKind == JsonValueKind.Number
        ? (float)value.GetDouble()
        : value.GetString() switch
        {
            "inf" => float.PositiveInfinity,
            "-inf" => float.NegativeInfinity,
            "nan" => float.NaN,
            var other => throw new InvalidDataException(other),
        });

    static string Bits(float value) => float.IsNaN(value)
        ? "nan"
        : BitConverter.SingleToUInt32Bits(value).ToString("x8", CultureInfo.InvariantCulture);
}
