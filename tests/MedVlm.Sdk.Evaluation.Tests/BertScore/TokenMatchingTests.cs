using System.Text.Json;
using CsCheck;
using MedVlm.Evaluation.BertScore;
using static MedVlm.Evaluation.Tests.BertScore.EncoderGolden;

namespace MedVlm.Evaluation.Tests.BertScore;

public sealed class TokenMatchingTests
{
    static string Folder => Path.Combine(TestFolders.Goldens, "components", "metrics");

    static JsonElement[] Cases() => File.Exists(Path.Combine(Folder, "bertscore_matrices.json"))
        ? [.. JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, "bertscore_matrices.json"))).RootElement.EnumerateArray()]
        : [];

    public static TheoryData<string> Names => [.. Cases().Select(entry => entry.GetProperty("name").GetString()!)];

    [Theory(SkipTestWithoutData = true), MemberData(nameof(Names)), Trait("Category", "Golden")]
    public void Matrices_give_the_reference_s_scores(string name)
    {
        var golden = Cases().Single(entry => entry.GetProperty("name").GetString() == name);
        var tensors = GoldenTensors.Load(Path.Combine(Folder, "bertscore_matrices.safetensors"));
        int width = golden.GetProperty("dim").GetInt32();

        Check("plain", States("ref", null), States("cand", null));
        Check("idf", States("ref", "idf_ref"), States("cand", "idf_cand"));

        TextStates States(string side, string? weights)
        {
            var states = Floats(tensors[$"{name}.{side}"]);
            int tokens = states.Length / width;
            TextStates.Normalise(states, width);
            return new(states, weights is null ? [0, .. Enumerable.Repeat(1f, tokens - 2), 0] : Floats(tensors[$"{name}.{weights}"]));
        }

        void Check(string key, TextStates reference, TextStates candidate)
        {
            var (expected, actual) = (Doubles(golden.GetProperty(key)), TokenMatching.Score(reference, candidate));
            Assert.Equal(expected[0], actual.Precision, 1e-6);
            Assert.Equal(expected[1], actual.Recall, 1e-6);
            Assert.Equal(expected[2], actual.F1, 1e-6);
        }
    }

    static readonly Gen<TextStates> s_states =
        from tokens in Gen.Int[3, 9]
        from states in Gen.Float[-1, 1].Array[8].Where(IsAState).Array[tokens].Select(rows => rows.SelectMany(row => row).ToArray())
        from weights in Gen.Float[0.1f, 5].Array[tokens]
        select Normalised(new TextStates(states, weights));

    // An encoder's states are never of length 0, or so near that squares vanish.
    static bool IsAState(float[] row) => row.Sum(value => value * value) > 1e-6f;

    static TextStates Normalised(TextStates text)
    {
        TextStates.Normalise(text.States, 8);
        return text;
    }

    [Fact]
    public void Turning_the_pair_around_swaps_precision_and_recall() => Gen.Select(s_states, s_states).Sample((a, b) =>
    {
        var (there, back) = (TokenMatching.Score(a, b), TokenMatching.Score(b, a));
        Assert.Equal(there.Precision, back.Recall, 1e-6);
        Assert.Equal(there.F1, back.F1, 1e-6);
        Assert.InRange(there.Precision, -1.00001, 1.00001);
    });

    [Fact]
    public void A_text_is_as_similar_to_itself_as_can_be() =>
        s_states.Sample(a => Assert.Equal(1, TokenMatching.Score(a, a).F1, 1e-5));

    [Fact]
    public void Weights_that_add_up_to_nothing_score_nothing()
    {
        var text = Normalised(new TextStates([.. Enumerable.Range(0, 32).Select(i => (float)i + 1)], [0, 0, 0, 0]));
        Assert.Equal(default, TokenMatching.Score(text, text));
    }
}
