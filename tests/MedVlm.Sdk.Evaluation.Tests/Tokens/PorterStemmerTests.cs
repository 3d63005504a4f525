using CsCheck;
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

    /// <summary>A y at the end becomes i behind a consonant: the definition of one, as the paper has it.</summary>
    [Fact]
    public void A_y_is_a_consonant_at_the_beginning_and_behind_a_vowel() => Gen.Char["aby"].Array[2, 40].Select(letters => new string(letters)).Sample(word =>
    {
        Assert.Equal(word + (IsConsonant(word.Length - 1) ? 'i' : 'y'), PorterStemmer.Stem(word + 'y'));

        bool IsConsonant(int at) => word[at] == 'y' ? at == 0 || !IsConsonant(at - 1) : word[at] == 'b';
    });

    [Fact]
    public void A_long_word_takes_no_more_stack_than_a_short_one()
    {
        string? stem = null;
        var thread = new Thread(() => stem = PorterStemmer.Stem(new string('y', 1_000_000)), maxStackSize: 256 << 10);
        thread.Start();
        thread.Join();
        Assert.Equal(new string('y', 999_999) + "i", stem);
    }
}
