using System.Text.Json;
using static MedVlm.Evaluation.Tests.BertScore.EncoderGolden;

namespace MedVlm.Evaluation.Tests.BertScore;

/// <summary>A real model end to end, where its weights are: they are never part of the repository.</summary>
/// <remarks>MEDVLM_MINILM names the folder of all-MiniLM-L6-v2 with config.json, model.safetensors and its tokenizer (docs/bertscore.md).</remarks>
[Trait("Category", "Golden")]
public sealed class MiniLmTests
{
    const int Layer = 6;

    static string Folder(string file)
    {
        var path = Path.Combine(TestFolders.Goldens, "components", "metrics", file);
        Assert.SkipUnless(File.Exists(path), "This goldens folder has no metrics.");
        return path;
    }

    static Task<BertScoreEncoder> LoadAsync()
    {
        var folder = Environment.GetEnvironmentVariable("MEDVLM_MINILM");
        Assert.SkipWhen(string.IsNullOrEmpty(folder), "MEDVLM_MINILM names no folder with all-MiniLM-L6-v2, whose weights are third-party.");
        return BertScoreEncoder.LoadAsync(folder!, Layer, cancellationToken: TestContext.Current.CancellationToken);
    }

    static JsonElement Metrics() => JsonDocument.Parse(File.ReadAllBytes(Folder("metrics.json"))).RootElement;

    [Fact]
    public async Task Hidden_states_are_those_of_the_reference()
    {
        var (pairs, hidden) = (Metrics().GetProperty("pairs"), GoldenTensors.Load(Folder("minilm_hidden.safetensors")));
        await using var encoder = await LoadAsync();

        foreach (var pair in pairs.EnumerateArray())
            if (hidden.Find($"{pair.GetProperty("id").GetString()}.ref.last_hidden_state") is { } expected)
                Assert.InRange(Distance(Floats(expected), encoder.Encode([Ints(pair.GetProperty("minilm_ids_ref"))], TestContext.Current.CancellationToken)), 0, 1e-4);
    }

    [Theory]
    [InlineData("bertscore", false, false)]
    [InlineData("bertscore_idf", true, false)]
    [InlineData("clef_bertscore_idf", true, true)]
    public async Task Scores_are_those_of_bert_score(string key, bool idf, bool normalised)
    {
        var metrics = Metrics();
        JsonElement[] golden = [.. metrics.GetProperty("pairs").EnumerateArray()];
        CaptionPair[] pairs = [.. golden.Select(pair => normalised
            ? new CaptionPair(pair.GetProperty("id").GetString()!, [pair.GetProperty("clef_ref").GetString()!], pair.GetProperty("clef_cand").GetString()!)
            : new CaptionPair(pair.GetProperty("id").GetString()!, [pair.GetProperty("refs")[0].GetString()!], pair.GetProperty("cand").GetString()!))];
        await using var encoder = await LoadAsync();

        foreach (var pair in golden)
            Assert.Equal(Ints(pair.GetProperty("minilm_ids_cand")), encoder.Tokenizer.Encode(pair.GetProperty("cand").GetString()!));
        var scores = await new BertScorer(encoder, new() { Idf = idf }).ScoreAsync(pairs, TestContext.Current.CancellationToken);

        for (int i = 0; i < 3; i++)
        {
            for (int pair = 0; pair < golden.Length; pair++)
                Assert.Equal(golden[pair].GetProperty(key)[i].GetDouble(), scores[i].PerPair[pair], 1e-4);
            Assert.Equal(metrics.GetProperty("corpus").GetProperty(key)[i].GetDouble(), scores[i].Corpus, 1e-4);
        }
    }
}
