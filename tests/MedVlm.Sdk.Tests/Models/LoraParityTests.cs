using MedVlm.Inference;

namespace MedVlm.Tests.Models;

/// <summary>Every golden case with a LoRA adapter says what the reference says with the adapter active.</summary>
[Trait("Category", "Golden")]
public sealed class LoraParityTests
{
    public static TheoryData<string> Cases => [.. GoldenCase.LoraNames()];

    [Theory, MemberData(nameof(Cases))]
    public async Task Says_what_the_reference_says_with_the_adapter(string name)
    {
        var token = TestContext.Current.CancellationToken;
        var golden = GoldenCase.LoadLora(name);
        var folder = Path.Combine(TestFolders.Goldens, golden.Family);
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = Path.Combine(folder, "..", "checkpoint"), Adapter = folder }, cancellationToken: token);

        var trace = new GenerationTrace();
        var caption = (await captioner.StreamAsync(golden.ToRequest(), trace, token).LastAsync(token)).Caption!;

        FamilyParityTests.Near(golden.Tensor("image_features"), trace.ImageFeatures, 1e-3, "image features");
        var steps = golden.Tensor("step_logits");
        FamilyParityTests.Near(steps, [.. trace.StepLogits.SelectMany(logits => logits).Take(steps.Length)], 1e-3, "step logits");
        Assert.Equal(golden.GeneratedIds, caption.TokenIds);
        Assert.Equal(golden.Text.Trim(), caption.Text);
    }
}
