using System.Text.Json.Nodes;
using MedVlm.Models;

namespace MedVlm.Tests.Models;

public sealed class ModelRegistryTests
{
    /// <summary>Other names of a family that has its goldens under the name given here.</summary>
    static readonly Dictionary<string, string> s_aliases = new() { ["smolvlm"] = "idefics3" };

    [Fact]
    public void Every_model_type_is_proven_on_goldens()
    {
        // The checkout's own: a folder that MEDVLM_GOLDENS names may hold some families only.
        var proven = Directory.EnumerateDirectories(Path.Combine(TestFolders.Repository, "tests", "goldens"))
            .Where(family => File.Exists(Path.Combine(family, "cases.json")))
            .Select(family => JsonNode.Parse(File.ReadAllText(Path.Combine(family, "checkpoint", "config.json")))!["model_type"]!.GetValue<string>());

        Assert.Equal(
            proven.Order(StringComparer.Ordinal),
            ModelRegistry.Supported.Select(type => s_aliases.GetValueOrDefault(type, type)).Distinct().Order(StringComparer.Ordinal));
    }
}
