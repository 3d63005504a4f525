using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation.Tests.Tokens;

public sealed class PorterStemmerTests
{
    public static TheoryData<string> Sets => MetricGoldens.Sets;

    [Theory, MemberData(nameof(Sets))]
    [Trait("Category", "Golden")]
    public void Every_word_has_the_stem_of_the_reference(string set)
    {
        var stems = MetricGoldens.Get(set).Stems;
        Assert.NotEmpty(stems);
        Assert.Equal(stems, stems.ToDictionary(pair => pair.Key, pair => PorterStemmer.Stem(pair.Key)));
    }
}
