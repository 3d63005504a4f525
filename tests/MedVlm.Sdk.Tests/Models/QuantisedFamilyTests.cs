using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Kernels;

namespace MedVlm.Tests.Models;

/// <summary>
/// Every family runs in INT8 and INT4, near what it computes in FP32; and so do the graphs that a GPU is given (FP16, with weights in 16, 8
/// or 4 bits), here on the CPU; and the graphs of a processor without AVX2, which take none of our own operators ("plain").
/// </summary>
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
                foreach (var precision in (string[])["Int8", "Int4", "plain Int8", "plain Int4", "CUDA Fp16", "CUDA Int8", "CUDA Int4"])
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
            options.Precision = Enum.Parse<Precision>(precision.Split(' ')[^1]);
            captioner = precision.StartsWith("CUDA", StringComparison.Ordinal)
                ? await MedicalCaptioner.LoadAsync(
                    options, null, new() { ChooseDevice = _ => new DeviceChoice(ComputeDevice.Parse("RTX 5080 16GB"), null), EmulateCuda = true },
                    TestContext.Current.CancellationToken)
                : await MedicalCaptioner.LoadAsync(
                    options, null, new() { IntegerKernels = !precision.StartsWith("plain", StringComparison.Ordinal) && CustomOperators.AreSupported },
                    TestContext.Current.CancellationToken);
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

            double logits = Distance(golden.Tensor("prompt_logits"), trace.StepLogits[0]);
            TestContext.Current.TestOutputHelper?.WriteLine($"{logits:F4}");
            Assert.True(logits < Bound(precision), $"{name} in {precision}: the logits are {logits:F3} away.");
        }
    }

    /// <summary>
    /// Measured: up to 0.14 and 0.77 on a CPU, and 0.26 in INT8 where the processor's products hold activations of 7 bits only. The weights' own errors
    /// are 0.006 and 0.077 there; FP16 rounds at 0.0005.
    /// </summary>
    static double Bound(string precision) => precision switch
    {
        "Int8" or "plain Int8" => 0.25 * 127 / IntegerProducts.LargestActivation,
        "CUDA Fp16" => 0.02,
        "CUDA Int8" => 0.15,

        // All zeros would be 1 away.
        _ => 0.95,
    };

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
