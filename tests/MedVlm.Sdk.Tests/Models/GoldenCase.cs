using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using MedVlm.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>One entry of a family's cases.json, with its tensors.</summary>
internal sealed record GoldenCase(
    string Name, string Image, string Prompt, int[] InputIds, int MaxNewTokens, int[] GeneratedIds, string Text,
    string[]? Images = null, string? PromptText = null, bool? DoImageSplitting = null, int? MinPixels = null, int? MaxPixels = null,
    float? RepetitionPenalty = null, string? FullText = null, int? RopeDelta = null)
{
    static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip,
    };

    [JsonIgnore]
    public string Family { get; private init; } = "";

    public string Checkpoint => Path.Combine(TestFolders.Goldens, Family, "checkpoint");

    public IEnumerable<string> ImagePaths => (Images ?? [Image]).Select(image => Path.Combine(TestFolders.Goldens, image));

    /// <summary>"family/case" of every case on disk.</summary>
    public static IEnumerable<string> Names() =>
        Directory.EnumerateDirectories(TestFolders.Goldens)
            .Where(folder => File.Exists(Path.Combine(folder, "cases.json")))
            .SelectMany(folder => Read(Path.GetFileName(folder)).Select(golden => $"{golden.Family}/{golden.Name}"))
            .Order(StringComparer.Ordinal);

    public static GoldenCase Load(string name) => Read(name.Split('/')[0]).Single(golden => $"{golden.Family}/{golden.Name}" == name);

    /// <summary>"family/adapter/case" of every case with a LoRA adapter.</summary>
    public static IEnumerable<string> LoraNames() =>
        Directory.EnumerateFiles(TestFolders.Goldens, "cases-lora.json", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(TestFolders.Goldens, Path.GetDirectoryName(path)!).Replace('\\', '/'))
            .SelectMany(folder => ReadLora(folder).Select(golden => $"{folder}/{golden.Name}"))
            .Order(StringComparer.Ordinal);

    /// <summary>A case with an adapter; <see cref="Family"/> is then "family/adapter".</summary>
    public static GoldenCase LoadLora(string name) =>
        ReadLora(name[..name.LastIndexOf('/')]).Single(golden => golden.Name == name[(name.LastIndexOf('/') + 1)..]);

    static IEnumerable<GoldenCase> ReadLora(string folder) =>
        JsonSerializer.Deserialize<GoldenCase[]>(File.ReadAllText(Path.Combine(TestFolders.Goldens, folder, "cases-lora.json")), s_json)!
            .Select(golden => golden with { Family = folder });

    static IEnumerable<GoldenCase> Read(string family) =>
        JsonSerializer.Deserialize<GoldenCase[]>(File.ReadAllText(Path.Combine(TestFolders.Goldens, family, "cases.json")), s_json)!
            .Select(golden => golden with { Family = family });

    /// <summary>The case as a request to a captioner.</summary>
    public CaptionRequest ToRequest() => new([.. ImagePaths.Select(path => MedicalImage.FromFile(path))])
    {
        Id = Name,
        Options = new CaptionOptions
        {
            Prompt = Prompt,
            MaxNewTokens = MaxNewTokens,
            RepetitionPenalty = RepetitionPenalty ?? 1,
            ImageDetail = new ImageDetail { SplitIntoTiles = DoImageSplitting, MinPixels = MinPixels, MaxPixels = MaxPixels },
        },
    };

    /// <summary>Whether the case's file holds a tensor.</summary>
    public bool Has(string tensor)
    {
        using var file = SafetensorsFile.Open(Path.Combine(TestFolders.Goldens, Family, $"{Name}.safetensors"));
        return file.Tensors.ContainsKey(tensor);
    }

    /// <summary>An int64 tensor of the case's file.</summary>
    public long[] Integers(string tensor)
    {
        using var file = SafetensorsFile.Open(Path.Combine(TestFolders.Goldens, Family, $"{Name}.safetensors"));
        var stored = file.Tensors[tensor];
        return MemoryMarshal.Cast<byte, long>(stored.Bytes(0, (int)stored.Length)).ToArray();
    }

    /// <summary>A tensor of the case's file.</summary>
    public float[] Tensor(string tensor)
    {
        using var file = SafetensorsFile.Open(Path.Combine(TestFolders.Goldens, Family, $"{Name}.safetensors"));
        var stored = file.Tensors[tensor];
        var values = new float[stored.Elements];
        Widen.ToFloat32(stored, values);
        return values;
    }
}
