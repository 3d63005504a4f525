using CsCheck;
using MedVlm.Evaluation.Ratings;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>The stratified sample of a rating sheet.</summary>
public sealed class RatingSampleTests
{
    static readonly Gen<string[]> s_strata = Gen.Int[0, 5].Select(stratum => $"stratum {stratum}").Array[1, 200];

    [Fact]
    public void Draws_every_stratum_in_proportion_and_nobody_twice() => Gen.Select(s_strata, Gen.Int[1, 250], Gen.Long).Sample((strata, size, seed) =>
    {
        var sample = StratifiedSample.Draw(strata, size, seed);

        Assert.Equal(Math.Min(size, strata.Length), sample.Count);
        Assert.Equal(sample.Count, sample.Distinct().Count());
        foreach (var (stratum, members) in strata.CountBy(name => name))
            Assert.True(Math.Abs(sample.Count(i => strata[i] == stratum) - (double)members * sample.Count / strata.Length) < 1);
        Assert.Equal(sample, StratifiedSample.Draw(strata, size, seed));
    }, iter: 300);

    /// <summary>A stratum of population / size members has one in the sample; one that is smaller may have none.</summary>
    [Theory]
    [InlineData(6, 17, 17, "0 2 2")]
    [InlineData(9, 15, 16, "1 1 2")]
    [InlineData(10, 15, 15, "1 2 1")]
    public void Shares_are_those_of_Hamiltons_method(int first, int second, int third, string shares)
    {
        string[] strata = [.. Enumerable.Repeat("a", first), .. Enumerable.Repeat("b", second), .. Enumerable.Repeat("c", third)];

        var sample = StratifiedSample.Draw(strata, 4, seed: 0);

        Assert.Equal(shares, string.Join(' ', "abc".Select(stratum => sample.Count(i => strata[i] == $"{stratum}"))));
    }

    [Fact]
    public void Draws_everyone_equally_often()
    {
        string[] strata = [.. Enumerable.Range(0, 30).Select(i => i < 10 ? "few" : "many")];

        var drawn = Enumerable.Range(0, 3000).SelectMany(seed => StratifiedSample.Draw(strata, 9, seed)).CountBy(i => i).ToDictionary();

        Assert.All(Enumerable.Range(0, 30), i => Assert.InRange(drawn[i], 900 - 100, 900 + 100));   // 4 standard deviations of a binomial of 3000 and 0.3
    }

    [Fact]
    public void The_order_tells_nothing_of_the_stratum()
    {
        string[] strata = [.. Enumerable.Range(0, 300).Select(i => $"{i / 100}")];

        Assert.InRange(Enumerable.Range(0, 400).Count(seed => StratifiedSample.Draw(strata, 30, seed)[0] < 100), 133 - 40, 133 + 40);
    }

    [Fact]
    public void Strata_by_length_and_score_are_of_one_size()
    {
        var pairs = TestCaptions.Make(1200, 0.7);
        double[] scores = [.. Enumerable.Range(0, 1200).Select(i => Math.Sin(i))];

        var strata = Strata.ByLengthAndScore(pairs, scores);

        Assert.Equal(12, strata.Distinct().Count());
        Assert.All(strata.CountBy(name => name), stratum => Assert.Equal(100, stratum.Value));
        double Mean(string name, Func<int, double> of) => Enumerable.Range(0, 1200).Where(i => strata[i] == name).Average(of);
        Assert.True(Mean("short, lowest score", i => pairs[i].References[0].Length) < Mean("long, lowest score", i => pairs[i].References[0].Length));
        Assert.True(Mean("short, lowest score", i => scores[i]) < Mean("short, highest score", i => scores[i]));
    }

    [Fact]
    public void A_few_captions_have_strata_too() => Assert.Equal(2, Strata.ByLengthAndScore(TestCaptions.Make(2, 0.7), [1, 2]).Count(name => name is not null));
}
