using CsCheck;
using MedVlm.Inference;

namespace MedVlm.Tests.Inference;

public sealed class SamplerTests
{
    static readonly float[] s_logits = [1f, 3f, 2.5f, -1f, 0f];

    static Sampler Sampler(float temperature = 0, float topP = 1, int? topK = null, float penalty = 1, ulong seed = 7, params int[] prompt) =>
        new(new SamplingSettings(temperature, topP, topK, penalty, seed), prompt);

    static double[] Softmax(IReadOnlyList<double> logits)
    {
        var exp = logits.Select(logit => Math.Exp(logit - logits.Max())).ToArray();
        return [.. exp.Select(e => e / exp.Sum())];
    }

    [Fact]
    public void Greedy_takes_the_likeliest_and_tells_its_log_probability()
    {
        var (token, logProbability) = Sampler(penalty: 1.0001f).Choose(s_logits);

        Assert.Equal(1, token);
        Assert.Equal(Math.Log(Softmax([.. s_logits.Select(logit => (double)logit)])[1]), logProbability, 1e-6);
    }

    // The formula of arXiv:1909.05858 as transformers applies it: positive logits divided, negative ones multiplied.
    [Theory]
    [InlineData("1", 1.5f, 2)]        // 3 / 1.5 = 2 < 2.5
    [InlineData("1,2", 3f, 0)]        // 3/3 = 1, 2.5/3 = 0.83, so token 0 with 1 wins by coming first
    [InlineData("", 3f, 1)]
    [InlineData("3,99", 2f, 1)]       // beyond the vocabulary: ignored
    public void Repetition_penalty_weakens_what_the_prompt_holds(string prompt, float penalty, int expected) =>
        Assert.Equal(expected, Sampler(penalty: penalty, prompt: [.. prompt.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)]).Choose(s_logits).Token);

    [Fact]
    public void Repetition_penalty_weakens_what_was_chosen_before()
    {
        var sampler = Sampler(penalty: 1.5f);

        Assert.Equal([1, 2, 1], Enumerable.Range(0, 3).Select(_ => sampler.Choose(s_logits).Token));   // 3 → 2; 2.5 → 1.67; 2 stays
    }

    [Theory]
    [InlineData(float.Epsilon, 1f), InlineData(1e-30f, 1f), InlineData(1e-3f, 1f), InlineData(float.Epsilon, float.Epsilon)]
    public void The_smallest_temperature_and_penalty_draw_the_likeliest(float temperature, float penalty)
    {
        var sampler = Sampler(temperature: temperature, penalty: penalty, prompt: [1]);

        Assert.Equal(1, sampler.Choose(s_logits).Token);
    }

    [Fact]
    public void The_same_seed_draws_the_same_tokens_and_another_seed_others()
    {
        int[] Draw(ulong seed)
        {
            var sampler = Sampler(temperature: 1, seed: seed);
            return [.. Enumerable.Range(0, 50).Select(_ => sampler.Choose(s_logits).Token)];
        }

        Assert.Equal(Draw(1), Draw(1));
        Assert.NotEqual(Draw(1), Draw(2));
    }

    [Theory]
    [InlineData(1f, 1f, null)]
    [InlineData(0.5f, 1f, null)]
    [InlineData(2f, 1f, 3)]
    [InlineData(1f, 0.8f, null)]
    [InlineData(1f, 0.3f, null)]
    [InlineData(1f, 0.9f, 2)]
    public void Draws_with_the_frequencies_that_the_formulas_give(float temperature, float topP, int? topK)
    {
        const int Draws = 40_000;
        var order = Enumerable.Range(0, s_logits.Length).OrderByDescending(i => s_logits[i]).Take(topK ?? int.MaxValue).ToArray();
        var probabilities = Softmax([.. order.Select(i => s_logits[i] / (double)temperature)]);
        int kept = 1;
        for (double share = probabilities[0]; topP < 1 && share < topP || topP == 1 && kept < order.Length; share += probabilities[kept++]) { }

        var sampler = Sampler(temperature, topP, topK);
        var counts = Enumerable.Range(0, Draws).Select(_ => sampler.Choose(s_logits).Token).CountBy(token => token).ToDictionary();

        Assert.Equal(order.Take(kept).Order(), counts.Keys.Order());
        for (int i = 0; i < kept; i++)
        {
            double expected = probabilities[i] / probabilities.Take(kept).Sum();
            double deviation = Math.Sqrt(expected * (1 - expected) / Draws);
            Assert.InRange(counts[order[i]] / (double)Draws, expected - 5 * deviation, expected + 5 * deviation);   // seeded: never flaky
        }
    }

    [Fact]
    public void Never_changes_the_logits_it_is_given() => Gen.Float[-50, 50].Array[1, 64].Sample(logits =>
    {
        var copy = (float[])logits.Clone();
        Sampler(0.7f, 0.9f, 5, 1.3f, 3, 0).Choose(logits);
        Assert.Equal(copy, logits);
    }, iter: 200);
}
