using MedVlm.Benchmarks.Synthetic;
using MedVlm.Inference;
using MedVlm.Tests.Models;

namespace MedVlm.Tests.Synthetic;

/// <summary>Running one layer at a time gives what the whole model gives: the reference's tokens.</summary>
public sealed class LayerwiseLlavaMedTests
{
    public static TheoryData<string> Cases => new(GoldenCase.Names().Where(name => name.StartsWith("llava-med/", StringComparison.Ordinal)));

    [Theory, MemberData(nameof(Cases))]
    public async Task Says_what_the_reference_says(string name)
    {
        var golden = GoldenCase.Load(name);
        using var model = new LayerwiseLlavaMed(golden.Checkpoint, new RuntimeSettings(Threads: 1));

        var image = await MedicalImage.FromFile(golden.ImagePaths.Single()).DecodeAsync(new ImageLimits(), TestContext.Current.CancellationToken);
        var inputs = model.Prepare(image, golden.Prompt);
        var ids = model.Steps(inputs, model.Vision(inputs), golden.GeneratedIds.Length).Select(LayerwiseLlavaMed.Likeliest);

        Assert.Equal(golden.GeneratedIds, ids);
    }
}
