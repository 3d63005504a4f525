using System.Text.Json;

namespace MedVlm.Evaluation.Tests.Metrics;

/// <summary>Every text metric equals its reference implementation, per pair and over the set, with one reference and with several.</summary>
[Trait("Category", "Golden")]
public sealed class MetricGoldenTests
{
    /// <summary>A metric's value, and where the golden file has it.</summary>
    sealed record Row(ICaptionMetric Metric, int Output, string Pair, string Corpus);

    static readonly Dictionary<string, Func<Row>> s_rows = new()
    {
        ["BLEU-1"] = () => new(new CocoBleu(), 0, "coco_bleu/0", "coco_bleu/0"),
        ["BLEU-2"] = () => new(new CocoBleu(), 1, "coco_bleu/1", "coco_bleu/1"),
        ["BLEU-3"] = () => new(new CocoBleu(), 2, "coco_bleu/2", "coco_bleu/2"),
        ["BLEU-4"] = () => new(new CocoBleu(), 3, "coco_bleu/3", "coco_bleu/3"),
        ["sacreBLEU"] = () => new(new SacreBleu(), 0, "sacrebleu_sentence", "sacrebleu_corpus/score"),
        ["sacreBLEU (lower case)"] = () => new(new SacreBleu(lowerCase: true), 0, "sacrebleu_sentence_lc", "sacrebleu_corpus_lc/score"),
        ["CIDEr"] = () => new(new Cider(), 0, "cider", "cider"),
        ["ROUGE-L (COCO)"] = () => new(new CocoRougeL(), 0, "coco_rouge_l", "coco_rouge_l"),
        ["METEOR"] = () => new(new Meteor(), 0, "meteor_stem", "meteor_stem"),
        ["METEOR (WordNet)"] = () => new(new Meteor(TestWordNet.Open()), 0, "meteor_wordnet", "meteor_wordnet"),
        ["ROUGE-1 (ImageCLEF)"] = () => new(new ClefRouge1(), 0, "clef_rouge1", "clef_rouge1"),
    };

    public static TheoryData<string, string, bool> Values
    {
        get
        {
            var data = new TheoryData<string, string, bool>();
            foreach (var set in MetricGoldens.Sets)
                foreach (var name in s_rows.Keys)
                    foreach (bool several in (bool[])[false, true])
                        data.Add(set.Data, name, several);
            return data;
        }
    }

    [Theory, MemberData(nameof(Values))]
    public async Task Every_pair_and_the_set_have_the_value_of_the_reference(string set, string name, bool severalReferences)
    {
        var goldens = MetricGoldens.Get(set).Metrics;
        var (pairs, corpus) = severalReferences ? (goldens.Multi, goldens.MultiCorpus) : (goldens.Pairs, goldens.Corpus);
        var row = s_rows[name]();
        Assert.Equal(name, row.Metric.Names[row.Output]);

        var scores = (await row.Metric.ScoreAsync(CaptionPairs(pairs), TestContext.Current.CancellationToken))[row.Output];

        Assert.Equal(name, scores.Name);
        Near(pairs.Select((pair, i) => (pair.Cand, At(pair.Values, row.Pair), scores.PerPair[i])));
        Near([("all pairs", At(corpus, row.Corpus), scores.Corpus)]);
    }

    [Theory, MemberData(nameof(RougeValues))]
    public async Task Rouge_has_the_precision_recall_and_F1_of_the_reference(string set, bool stemmer, bool severalReferences)
    {
        var goldens = MetricGoldens.Get(set).Metrics;
        var (pairs, corpus) = severalReferences ? (goldens.Multi, goldens.MultiCorpus) : (goldens.Pairs, goldens.Corpus);
        var values = stemmer ? "rouge_stem" : "rouge";

        var full = await new Rouge(stemmer, precisionAndRecall: true).ScoreAsync(CaptionPairs(pairs), TestContext.Current.CancellationToken);
        var plain = await new Rouge(stemmer).ScoreAsync(CaptionPairs(pairs), TestContext.Current.CancellationToken);

        foreach (var (kind, n) in ((string, int)[])[("rouge1", 0), ("rouge2", 1), ("rougeL", 2)])
        {
            Near(pairs.Select((pair, i) => (pair.Cand, At(pair.Values, $"{values}/{kind}/0"), full[3 * n + 1].PerPair[i])));
            Near(pairs.Select((pair, i) => (pair.Cand, At(pair.Values, $"{values}/{kind}/1"), full[3 * n + 2].PerPair[i])));
            Near(pairs.Select((pair, i) => (pair.Cand, At(pair.Values, $"{values}/{kind}/2"), full[3 * n].PerPair[i])));
            Assert.Equal(full[3 * n].PerPair, plain[n].PerPair);
            Near([("all pairs", At(corpus, $"{values}/{kind}"), plain[n].Corpus)]);
        }
    }

    public static TheoryData<string, bool, bool> RougeValues => new(
        from set in MetricGoldens.Sets
        from stemmer in (bool[])[false, true]
        from several in (bool[])[false, true]
        select (set.Data, stemmer, several));

    [Theory, MemberData(nameof(Sets))]
    public void Texts_are_normalised_as_ImageCLEF_does(string set)
    {
        foreach (var pair in MetricGoldens.Get(set).Metrics.Pairs)
        {
            Assert.Equal(pair.Values["clef_ref"].GetString(), ClefNormalization.Normalize(pair.Refs[0]));
            Assert.Equal(pair.Values["clef_cand"].GetString(), ClefNormalization.Normalize(pair.Cand));
        }
    }

    public static TheoryData<string> Sets => MetricGoldens.Sets;

    static CaptionPair[] CaptionPairs(GoldenPair[] pairs) => [.. pairs.Select((pair, i) => new CaptionPair($"{i}", pair.Refs, pair.Cand))];

    static double At(Dictionary<string, JsonElement> values, string path) =>
        path.Split('/', 2) is [var name, var rest] ? At(values[name], rest) : values[path].GetDouble();

    static double At(JsonElement value, string path)
    {
        foreach (var step in path.Split('/'))
            value = value.ValueKind == JsonValueKind.Array ? value[int.Parse(step)] : value.GetProperty(step);
        return value.GetDouble();
    }

    // The goldens are from the reference's own doubles: only the order of sums differs.
    static void Near(IEnumerable<(string What, double Expected, double Actual)> values)
    {
        var faults = values.Where(value => !(Math.Abs(value.Expected - value.Actual) <= 1e-9)).ToList();
        Assert.True(faults.Count == 0, $"{faults.Count} values differ\n"
            + string.Join('\n', faults.Take(10).Select(fault => $"expected {fault.Expected}, actual {fault.Actual}: {fault.What}")));
    }
}
