using System.Text.Json;
using System.Text.Json.Serialization;

namespace MedVlm.Evaluation.Tests;

/// <summary>The reference values of components/metrics: our own texts, and a sample of public captions where it lies beside the checkout.</summary>
internal sealed class MetricGoldens(string folder)
{
    static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    static readonly Dictionary<string, MetricGoldens?> s_sets = new()
    {
        ["own"] = At(Path.Combine(TestFolders.Goldens, "components", "metrics")),
        ["public"] = TestFolders.Shared("goldens-public", "metrics") is { } path ? At(path) : null,
    };

    /// <summary>Names of the sets, whether they are here or not.</summary>
    public static TheoryData<string> Sets => [.. s_sets.Keys];

    /// <summary>A set, or the test is skipped.</summary>
    public static MetricGoldens Get(string set)
    {
        Assert.SkipWhen(s_sets[set] is null, set == "public"
            ? "The sample of public captions is third-party and not beside this checkout."
            : "This goldens folder has no components/metrics.");
        return s_sets[set]!;
    }

    static MetricGoldens? At(string folder) => File.Exists(Path.Combine(folder, "metrics.json")) ? new(folder) : null;

    public IReadOnlyList<TokenLine> PtbLines { get; } =
        [.. File.ReadLines(Path.Combine(folder, "ptb.jsonl")).Select(line => JsonSerializer.Deserialize<TokenLine>(line, s_json)!)];

    public IReadOnlyDictionary<string, string> Stems { get; } = Read<Dictionary<string, string>>(Path.Combine(folder, "porter.json"));

    public MetricFile Metrics { get; } = Read<MetricFile>(Path.Combine(folder, "metrics.json"));

    static T Read<T>(string path)
    {
        using var file = File.OpenRead(path);
        return JsonSerializer.Deserialize<T>(file, s_json)!;
    }
}

internal sealed record TokenLine(string Text, string[] Tokens);

internal sealed record MetricFile(GoldenPair[] Pairs, GoldenPair[] Multi, JsonElement Corpus, JsonElement MultiCorpus);

/// <summary>One caption with its references; the values of the metrics by their names in the file.</summary>
internal sealed record GoldenPair(string[] Refs, string Cand)
{
    [JsonExtensionData] public Dictionary<string, JsonElement> Values { get; init; } = [];
}
