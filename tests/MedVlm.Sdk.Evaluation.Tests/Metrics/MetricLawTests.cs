using System.Diagnostics.CodeAnalysis;
using CsCheck;
using MedVlm.Evaluation.Scoring;

namespace MedVlm.Evaluation.Tests.Metrics;

/// <summary>What holds for every text metric and every text.</summary>
public sealed class MetricLawTests
{
    static readonly Dictionary<string, ICaptionMetric> s_metrics = new()
    {
        ["BLEU"] = new CocoBleu(), ["sacreBLEU"] = new SacreBleu(), ["sacreBLEU lower case"] = new SacreBleu(lowerCase: true), ["CIDEr"] = new Cider(),
        ["ROUGE"] = new Rouge(), ["ROUGE stems"] = new Rouge(stemmer: true, precisionAndRecall: true), ["ROUGE-L COCO"] = new CocoRougeL(),
        ["METEOR"] = new Meteor(), ["ROUGE-1 ImageCLEF"] = new ClefRouge1(),
    };

    public static TheoryData<string> Metrics => [.. s_metrics.Keys];

    static readonly string[] s_words =
    [
        "CT", "of", "the", "chest", "lungs", "lung", "showing", "mass.", "(arrow)", "3.5", "1 1/2", "U.S.", "don't", "T2-weighted", "Ω", "胸部", "<b>", "&amp;",
    ];

    static readonly Gen<string> s_word = Gen.OneOf(
        Gen.Int[0, s_words.Length - 1].Select(i => s_words[i]),
        Gen.String[Gen.Char, 0, 6]);
    static readonly Gen<string> s_text = s_word.Array[0, 12].Select(words => string.Join(' ', words));
    static readonly Gen<CaptionPair[]> s_pairs = Gen.Select(s_text.Array[1, 3], s_text, (references, candidate) => new CaptionPair("x", references, candidate)).Array[1, 8];

    [Theory, MemberData(nameof(Metrics))]
    public void Scores_lie_in_their_range_and_the_set_as_a_sample_has_the_value_of_the_set(string name)
    {
        var metric = s_metrics[name];
        double most = name.StartsWith("sacre", StringComparison.Ordinal) ? 100 : name == "CIDEr" ? 10 : 1;
        s_pairs.Sample(pairs =>
        {
            foreach (var scores in Score(metric, pairs))
            {
                Assert.Equal(pairs.Length, scores.PerPair.Count);
                Assert.All([.. scores.PerPair, scores.Corpus], value => Assert.InRange(value, 0, most * (1 + 1e-12)));
                Assert.Equal(scores.Corpus, scores.CorpusOf([.. Enumerable.Range(0, pairs.Length)]), 1e-12);
            }
        }, iter: 60, threads: 1);
    }

    // CIDEr weighs words by the other pairs; the rest of the metrics do not.
    [Theory, MemberData(nameof(Metrics))]
    public void A_pairs_score_does_not_depend_on_the_others(string name)
    {
        if (name == "CIDEr")
            return;
        var metric = s_metrics[name];
        s_pairs.Sample(pairs =>
        {
            var together = Score(metric, pairs);
            for (int i = 0; i < pairs.Length; i++)
            {
                var alone = Score(metric, [pairs[i]]);
                for (int n = 0; n < together.Count; n++)
                    Assert.Equal(alone[n].PerPair[0], together[n].PerPair[i], 1e-12);
            }
        }, iter: 30, threads: 1);
    }

    // A comparison of two candidates would count the others as better or worse by their last bits.
    [Fact]
    public void CIDEr_of_a_caption_is_the_same_to_the_last_bit_beside_any_other_candidates() =>
        Gen.Select(s_pairs, s_text).Sample((pairs, other) =>
        {
            var scores = Score(new Cider(), pairs)[0].PerPair;
            var changed = Score(new Cider(), [pairs[0] with { Candidate = other + " " + pairs[^1].Candidate }, .. pairs[1..]])[0].PerPair;
            Assert.Equal(scores.Skip(1), changed.Skip(1));
        }, iter: 300, threads: 1);

    // Two long texts take time with the product of their lengths.
    [Fact]
    public void A_single_pair_can_be_given_up()
    {
        var stopped = new CancellationToken(canceled: true);
        Assert.Throws<OperationCanceledException>(() => new CommonSubsequence().Length([0, 1], [1], stopped));
        Assert.Throws<OperationCanceledException>(() => new WordAlignment([0, 1], null).Align([0, 1], [1], stopped));
    }

    // A bootstrap draws pairs again and again: sums of counts must be those of a set that holds the drawn pairs.
    [Theory, InlineData("BLEU"), InlineData("sacreBLEU"), InlineData("ROUGE"), InlineData("METEOR")]
    public void A_sample_has_the_value_of_the_set_that_it_would_make(string name)
    {
        var metric = s_metrics[name];
        Gen.Select(s_pairs, Gen.Int[0, 7].Array[1, 12]).Sample((pairs, draws) =>
        {
            int[] sample = [.. draws.Select(draw => draw % pairs.Length)];
            var all = Score(metric, pairs);
            var drawn = Score(metric, [.. sample.Select(i => pairs[i])]);
            for (int n = 0; n < all.Count; n++)
                Assert.Equal(drawn[n].Corpus, all[n].CorpusOf(sample), 1e-9);
        }, iter: 40, threads: 1);
    }

    [Theory, MemberData(nameof(Metrics))]
    public async Task A_cancelled_run_ends(string name)
    {
        CaptionPair[] pairs = [.. Enumerable.Range(0, 1000).Select(i => new CaptionPair($"{i}", ["CT of the chest"], $"CT {i}"))];
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await s_metrics[name].ScoreAsync(pairs, new CancellationToken(canceled: true)));
    }

    [Theory, MemberData(nameof(Metrics))]
    [SuppressMessage("Usage", "xUnit1051", Justification = "The faults are found before any work begins.")]
    public async Task No_pairs_and_a_pair_without_references_are_refused(string name)
    {
        var none = await Assert.ThrowsAsync<ArgumentException>(async () => await s_metrics[name].ScoreAsync([]));
        Assert.StartsWith("There are no pairs to score.", none.Message);
        var bare = await Assert.ThrowsAsync<ArgumentException>(async () => await s_metrics[name].ScoreAsync([new("a", ["x"], "x"), new("b", [], "x")]));
        Assert.StartsWith("The pair \"b\" has no reference.", bare.Message);
    }

    [Fact]
    public void Tokens_that_metrics_share_follow_a_list_that_changes()
    {
        var list = new List<CaptionPair> { new("a", ["CT of the chest"], "CT of the chest") };
        Assert.Equal(1, Score(new CocoBleu(), list)[2].Corpus, 1e-6);
        list[0] = new("a", ["CT of the chest"], "MRI");
        Assert.Equal(0, Score(new CocoBleu(), list)[2].Corpus, 1e-6);
    }

    static IReadOnlyList<MetricScores> Score(ICaptionMetric metric, IReadOnlyList<CaptionPair> pairs) =>
        metric.ScoreAsync(pairs, TestContext.Current.CancellationToken).AsTask().GetAwaiter().GetResult();
}
