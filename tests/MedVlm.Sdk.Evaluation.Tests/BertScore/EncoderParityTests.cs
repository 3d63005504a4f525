using System.Text.Json;
using MedVlm.Evaluation.BertScore.Encoders;
using static MedVlm.Evaluation.Tests.BertScore.EncoderGolden;

namespace MedVlm.Evaluation.Tests.BertScore;

/// <summary>Each family against transformers and bert-score, on tiny checkpoints of the true layout.</summary>
[Trait("Category", "Golden")]
public sealed class EncoderParityTests
{
    // FP32 on both sides, states of about 1 in magnitude, three layers.
    const double HiddenTolerance = 2e-5;
    const double ScoreTolerance = 2e-6;

    public static TheoryData<string> WithTokens => Names("tokens.json");

    public static TheoryData<string> WithScores => Names("scores.json");

    [Theory(SkipTestWithoutData = true), MemberData(nameof(WithTokens))]
    public async Task Ids_are_those_of_the_reference(string name)
    {
        var golden = new EncoderGolden(name);
        await using var encoder = await BertScoreEncoder.LoadAsync(golden.Folder, layer: 0, threads: 1, TestContext.Current.CancellationToken);

        foreach (var (text, ids) in golden.Tokens())
            Assert.True(ids.SequenceEqual(encoder.Tokenizer.Encode(text)), $"{text}\nexpected {string.Join(' ', ids)}\nactual   {string.Join(' ', encoder.Tokenizer.Encode(text))}");
    }

    [Theory(SkipTestWithoutData = true), MemberData(nameof(WithTokens))]
    public async Task Hidden_states_of_each_layer_are_those_of_the_reference(string name)
    {
        var golden = new EncoderGolden(name);
        var (tokens, hidden) = (golden.Tokens(), GoldenTensors.Load(golden.PathOf("hidden.safetensors")));

        double farthest = 0;
        for (int layer = 0; layer <= 3; layer++)
        {
            await using var encoder = await BertScoreEncoder.LoadAsync(golden.Folder, layer, threads: 1, TestContext.Current.CancellationToken);
            for (int text = 0; text < tokens.Count; text++)
                if (hidden.Find($"{text}.{layer}") is { } expected)
                {
                    var states = encoder.Encode([tokens[text].Ids], TestContext.Current.CancellationToken);
                    double distance = Distance(Floats(expected), states);
                    Assert.True(distance <= HiddenTolerance, $"text {text}, layer {layer}: off by {distance:g3}");
                    farthest = Math.Max(farthest, distance);

                    // What else is in the batch changes nothing but the order of sums.
                    var batch = encoder.Encode([[.. tokens[text].Ids.Reverse()], tokens[text].Ids], TestContext.Current.CancellationToken);
                    Assert.InRange(Distance(states, batch.AsSpan(states.Length)), 0, 1e-5);
                }
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{name}: hidden states off by {farthest:g2} at most");
    }

    [Theory(SkipTestWithoutData = true), MemberData(nameof(WithScores))]
    public async Task Scores_are_those_of_bert_score(string name)
    {
        var golden = new EncoderGolden(name);
        using var scores = golden.Scores();
        List<CaptionPair> pairs = [.. scores.RootElement.GetProperty("pairs").EnumerateArray().Select((pair, i) => new CaptionPair(
            $"{i}", [.. pair.GetProperty("refs").EnumerateArray().Select(text => text.GetString()!)], pair.GetProperty("cand").GetString()!))];
        await using var encoder = await BertScoreEncoder.LoadAsync(
            golden.Folder, scores.RootElement.GetProperty("layer").GetInt32(), threads: 1, TestContext.Current.CancellationToken);

        await Check("plain", new());
        await Check("idf", new() { Idf = true });
        await Check("idf_rescaled", new() { Idf = true, BaselinePath = golden.PathOf("baseline.tsv") });

        async Task Check(string key, BertScorerOptions options)
        {
            var actual = await new BertScorer(encoder, options).ScoreAsync(pairs, TestContext.Current.CancellationToken);
            double farthest = 0;
            foreach (var (pair, expected) in scores.RootElement.GetProperty(key).EnumerateArray().Select(Doubles).Index())
                for (int i = 0; i < 3; i++)
                {
                    farthest = Math.Max(farthest, Math.Abs(expected[i] - actual[i].PerPair[pair]));
                    Assert.True(
                        Math.Abs(expected[i] - actual[i].PerPair[pair]) <= ScoreTolerance,
                        $"{key}, pair {pair}, {actual[i].Name}: expected {expected[i]}, actual {actual[i].PerPair[pair]}");
                }
            TestContext.Current.TestOutputHelper?.WriteLine($"{name}, {key}: off by {farthest:g2} at most");
        }
    }

    [Fact]
    public void Buckets_of_distances_are_those_of_the_reference()
    {
        var path = Path.Combine(TestFolders.Goldens, "components", "encoders", "buckets.json");
        Assert.SkipUnless(File.Exists(path), "This goldens folder has no encoders.");
        using var table = JsonDocument.Parse(File.ReadAllBytes(path));
        foreach (var row in table.RootElement.EnumerateArray())
        {
            var (buckets, largest, first) = (row.GetProperty("buckets").GetInt32(), row.GetProperty("max_position").GetInt32(), row.GetProperty("first").GetInt32());
            int[] expected = Ints(row.GetProperty("bucket"));
            Assert.Equal(expected, Enumerable.Range(first, expected.Length).Select(distance => DebertaV2.Bucket(distance, buckets, largest)));
        }
    }
}
