using MedVlm.Inference;

namespace MedVlm.Tests.Models;

/// <summary>Every family runs in INT8 and INT4, near what it computes in FP32.</summary>
/// <remarks>
/// The goldens' checkpoints have random weights and amplify every difference, so tokens say nothing. An error anywhere in a graph (a weight not
/// transposed, a scale left out) makes the logits unrelated to FP32's: a distance of 1.4 times their size.
/// </remarks>
[Trait("Category", "Golden")]
public sealed class QuantisedFamilyTests
{
    /// <summary>The first case of each family on disk.</summary>
    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (var name in GoldenCase.Names().GroupBy(name => name.Split('/')[0]).Select(family => family.First()))
                foreach (var precision in (string[])["Int8", "Int4"])
                    cases.Add(name, precision);
            return cases;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public async Task Logits_stay_near_those_of_FP32(string name, string precision)
    {
        var golden = GoldenCase.Load(name);
        MedicalCaptioner captioner;
        try
        {
            var options = golden.ToOptions();
            options.Precision = Enum.Parse<Precision>(precision);
            captioner = await MedicalCaptioner.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        }
        catch (UnsupportedModelException e)
        {
            Assert.Skip(e.Message);
            return;
        }

        await using (captioner)
        {
            var trace = new GenerationTrace();
            await captioner.StreamAsync(golden.ToRequest(), trace, TestContext.Current.CancellationToken).LastAsync(TestContext.Current.CancellationToken);

            // Measured: up to 0.14 and 0.77. The weights' own errors are 0.006 and 0.077.
            double logits = Distance(golden.Tensor("prompt_logits"), trace.StepLogits[0]);
            Assert.True(logits < (precision == "Int8" ? 0.25 : 1), $"{name} in {precision}: the logits are {logits:F3} away.");
        }
    }

    /// <summary>Norm of the difference over the norm of what is expected.</summary>
    static double Distance(float[] expected, float[] actual)
    {
        double difference = 0, norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            difference += Math.Pow(expected[i] - actual[i], 2);
            norm += Math.Pow(expected[i], 2);
        }
        return Math.Sqrt(difference / norm);
    }
}
