using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using MedVlm.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>One entry of a family's cases.json, with its tensors.</summary>
internal sealed record GoldenCase(
    string Name, string Image, string Prompt, int[] InputIds, int MaxNewTokens, int[] GeneratedIds, string Text,
    string[]? Images = null, string? PromptText = null, bool? DoImageSplitting = null, int? MinPixels = null, int? MaxPixels = null,
    float? RepetitionPenalty = null, string? FullText = null, int? RopeDelta = null, string? Length = null, int[]? Tiling = null,
    GoldenCase.ProcessorOptions? ProcessorKwargs = null, int[]? RecomputedAt = null)
{
    /// <summary>Settings of the image processor that a case changes (Phi-3.5-Vision).</summary>
    internal sealed record ProcessorOptions(int? NumCrops = null);

    static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip,
    };

    /// <summary>Files of cases, and the checkpoint that each is of.</summary>
    static readonly (string Cases, string Checkpoint)[] s_files = [("cases.json", "checkpoint"), ("cases-legacy.json", "checkpoint-2025-01-09")];

    [JsonIgnore]
    public string Family { get; private init; } = "";

    [JsonIgnore]
    string CheckpointName { get; init; } = "checkpoint";

    public string Checkpoint => Path.Combine(TestFolders.Goldens, Family, CheckpointName);

    /// <summary>The model, with the companions that lie beside it in the family's folder.</summary>
    public MedicalCaptionerOptions ToOptions() => new()
    {
        Model = Checkpoint,
        Tokenizer = CheckpointName == "checkpoint" && Path.Combine(TestFolders.Goldens, Family, "starmie-v1") is var starmie && Directory.Exists(starmie)
            ? starmie
            : null,
    };

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
        s_files.Where(file => File.Exists(Path.Combine(TestFolders.Goldens, family, file.Cases)))
            .SelectMany(file => JsonSerializer
                .Deserialize<GoldenCase[]>(File.ReadAllText(Path.Combine(TestFolders.Goldens, family, file.Cases)), s_json)!
                .Select(golden => golden with { Family = family, CheckpointName = file.Checkpoint }));

    /// <summary>The case as a request to a captioner.</summary>
    public CaptionRequest ToRequest() => new([.. ImagePaths.Select(path => MedicalImage.FromFile(path))])
    {
        Id = Name,
        Options = new CaptionOptions
        {
            Prompt = Prompt,
            MaxNewTokens = MaxNewTokens,
            RepetitionPenalty = RepetitionPenalty ?? 1,
            Length = Length is null ? null : Enum.Parse<CaptionLength>(Length, ignoreCase: true),
            ImageDetail = new ImageDetail { SplitIntoTiles = DoImageSplitting, MinPixels = MinPixels, MaxPixels = MaxPixels, MaxCrops = ProcessorKwargs?.NumCrops },
        },
    };

    /// <summary>Whether the case's file holds a tensor.</summary>
    public bool Has(string tensor)
    {
        using var file = SafetensorsFile.Open(Path.Combine(TestFolders.Goldens, Family, $"{Name}.safetensors"));
        return file.Tensors.ContainsKey(tensor);
    }

    /// <summary>What the vision tower is fed, without the empty crops that Phi-3.5-Vision's reference fills up with; null where it is not stored.</summary>
    public float[]? PixelValues()
    {
        if (!Has("pixel_values"))
            return null;
        var tensor = GoldenTensors.Load(Path.Combine(TestFolders.Goldens, Family, $"{Name}.safetensors"))["pixel_values"];
        var values = Tensor("pixel_values");
        return tensor.Shape is [_, _, .. var crop] && crop.Length == 3
            ? [.. values.Chunk(crop.Aggregate(1, (a, b) => a * b)).Where(pixels => pixels.Any(value => value != 0)).SelectMany(pixels => pixels)]
            : values;
    }

    /// <summary>An int64 tensor of the case's file.</summary>
    public long[] Integers(string tensor)
    {
        using var file = SafetensorsFile.Open(Path.Combine(TestFolders.Goldens, Family, $"{Name}.safetensors"));
        var stored = file.Tensors[tensor];
        return MemoryMarshal.Cast<byte, long>(stored.Bytes(0, (int)stored.Length)).ToArray();
    }

    /// <summary>The first, second and last crop as the vision tower sees them, from the bytes in <c>crops_u8</c> [3, S, S, 3].</summary>
    public float[] FirstSecondAndLastCrop()
    {
        var stored = GoldenTensors.Load(Path.Combine(TestFolders.Goldens, Family, $"{Name}.safetensors"))["crops_u8"];
        int plane = stored.Shape[1] * stored.Shape[2];
        return
        [
            .. from crop in Enumerable.Range(0, 3) from channel in Enumerable.Range(0, 3) from pixel in Enumerable.Range(0, plane)
               select (stored.Bytes[(crop * plane + pixel) * 3 + channel] / 255f - 0.5f) / 0.5f,
        ];
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
