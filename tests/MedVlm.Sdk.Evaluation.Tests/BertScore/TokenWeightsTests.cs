using System.Text.Json;
using MedVlm.Evaluation.BertScore;
using static MedVlm.Evaluation.Tests.BertScore.EncoderGolden;

namespace MedVlm.Evaluation.Tests.BertScore;

public sealed class TokenWeightsTests
{
    [Fact, Trait("Category", "Golden")]
    public void Inverse_document_frequencies_are_the_reference_s()
    {
        var folder = Path.Combine(TestFolders.Goldens, "components", "metrics");
        Assert.SkipUnless(File.Exists(Path.Combine(folder, "idf.json")), "This goldens folder has no metrics.");
        using var metrics = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "metrics.json")));
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "idf.json")));
        var plain = golden.RootElement.GetProperty("plain");

        var weights = TokenWeights.InverseDocumentFrequency(
            metrics.RootElement.GetProperty("pairs").EnumerateArray().Select(pair => Ints(pair.GetProperty("minilm_ids_ref"))));

        Assert.Equal(plain.GetProperty("default").GetDouble(), weights[-1], 1e-12);
        Assert.All(plain.GetProperty("idf").EnumerateObject(), entry => Assert.Equal(entry.Value.GetDouble(), weights[int.Parse(entry.Name)], 1e-12));
    }

    [Fact]
    public void Without_them_only_the_control_tokens_count_nothing() =>
        Assert.Equal([0, 1, 1, 0], TokenWeights.Equal(101, 102).Of([101, 7, 8, 102]));
}
