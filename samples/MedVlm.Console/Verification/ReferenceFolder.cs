using System.Text.Json;
using System.Text.Json.Serialization;

namespace MedVlm.ConsoleSample.Verification;

/// <summary>
/// Reads reference cases. Two layouts are known. Goldens: a folder for each family, with cases.json and checkpoint/, whose images are
/// relative to the folder above it. References: references.json beside its images, without a checkpoint.
/// </summary>
internal static class ReferenceFolder
{
    const string Cases = "cases.json", References = "references.json", Starmie = "starmie-v1";   // Moondream2's tokenizer

    static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true,
    };

    /// <exception cref="UsageException">Neither layout, or a file that is not as it should be.</exception>
    public static IReadOnlyList<ReferenceSet> Read(string folder)
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (!Directory.Exists(folder))
            throw new UsageException($"There is no folder \"{folder}\".");
        if (File.Exists(Path.Combine(folder, References)))
            return [ReadReferences(folder)];

        var families = File.Exists(Path.Combine(folder, Cases))
            ? [folder]
            : Directory.GetDirectories(folder).Where(family => File.Exists(Path.Combine(family, Cases))).Order(StringComparer.Ordinal).ToArray();
        return families.Length > 0
            ? [.. families.Select(ReadFamily)]
            : throw new UsageException($"\"{folder}\" holds no reference cases: neither {References}, nor a folder with {Cases} and checkpoint/.");
    }

    static ReferenceSet ReadFamily(string folder) => new(
        Path.GetFileName(folder), Path.Combine(folder, "checkpoint"),
        [.. Parse<Stored[]>(Path.Combine(folder, Cases)).Select(stored => stored.ToCase(stored.Name!, Path.GetDirectoryName(folder)!, stored.Images ?? [stored.Image!]))],
        Directory.Exists(Path.Combine(folder, Starmie)) ? Path.Combine(folder, Starmie) : null);

    static ReferenceSet ReadReferences(string folder)
    {
        var cases =
            from stored in Parse<Stored[]>(Path.Combine(folder, References))
            from one in ((Stored[])[stored, .. stored.More ?? []]).Select((answer, index) => (Answer: answer, Number: index + 1))
            select one.Answer.ToCase(one.Number == 1 ? stored.Image! : $"{stored.Image} ({one.Number})", folder, [stored.Image!]);
        return new ReferenceSet(Path.GetFileName(folder), Checkpoint: null, [.. cases]);
    }

    static T Parse<T>(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(File.ReadAllBytes(path), s_json) ?? throw new JsonException("It is null.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{path} cannot be read as reference cases: {e.Message}");
        }
    }

    /// <summary>An entry of either file.</summary>
    sealed record Stored(
        string Prompt, int MaxNewTokens, int[] GeneratedIds, string Text, string? Name = null, string? Image = null, string[]? Images = null,
        Stored[]? More = null, bool? DoImageSplitting = null, float? RepetitionPenalty = null, string? Length = null,
        Dictionary<string, int>? ProcessorKwargs = null)
    {
        /// <summary>Everything that has no member of its own.</summary>
        [JsonExtensionData] public Dictionary<string, JsonElement> Further { get; init; } = [];

        public ReferenceCase ToCase(string name, string root, string[] images) => new(
            name, [.. images.Select(image => Path.Combine(root, image))], Prompt, MaxNewTokens, GeneratedIds, Text,
            RepetitionPenalty ?? 1, DoImageSplitting, NotExpressible(), Length is null ? null : Enum.Parse<CaptionLength>(Length, ignoreCase: true),
            ProcessorKwargs?.TryGetValue("num_crops", out int crops) == true ? crops : null);

        string? NotExpressible() => Further
            .Where(setting => setting.Key is "min_pixels" or "max_pixels" && setting.Value.ValueKind == JsonValueKind.Number)
            .Select(setting => setting.Key)
            .FirstOrDefault() ?? ProcessorKwargs?.Keys.FirstOrDefault(key => key != "num_crops");
    }
}
