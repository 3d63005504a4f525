using System.Text.Json;

namespace MedVlm.Tests.Checkpoints;

/// <summary>The cases of goldens/components/safetensors, listed by its manifest.</summary>
internal static class SafetensorsGoldens
{
    public static string Folder { get; } = Path.Combine(TestFolders.Goldens, "components", "safetensors");

    /// <summary>Names of the cases under "files" or "index"; none where this goldens folder lacks the component.</summary>
    public static IEnumerable<string> Names(string list) => Cases(list).Select(c => c.GetProperty("file").GetString()!);

    public static JsonElement Case(string list, string name) => Cases(list).Single(c => c.GetProperty("file").GetString() == name);

    public static bool IsValid(this JsonElement golden) => golden.GetProperty("valid").GetBoolean();

    static JsonElement[] Cases(string list)
    {
        var manifest = Path.Combine(Folder, "manifest.json");
        return File.Exists(manifest)
            ? [.. JsonDocument.Parse(File.ReadAllBytes(manifest)).RootElement.GetProperty(list).EnumerateArray()]
            : [];
    }
}
