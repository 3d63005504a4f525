using MedVlm.Tests.Checkpoints;
using MedVlm.Tests.Samples;

namespace MedVlm.Tests.Tokenizers;

/// <summary>Where .NET runs without ICU, as in small container images, it gives text back as it is in place of normalising it.</summary>
public sealed class InvariantGlobalizationTests
{
    [Theory, InlineData("Describe.", null), InlineData("D\u00e9cris.", "This process runs in globalization-invariant mode")]
    public async Task Text_that_would_become_other_tokens_is_refused(string prompt, string? error)
    {
        using var output = new TemporaryFolder();
        var run = await ConsoleRun.Of(
            new Dictionary<string, string> { ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1" }, "caption",
            Path.Combine(TestFolders.Phantoms, "06-hand-xray.tiff"), "--model", Path.Combine(TestFolders.Repository, "tests", "goldens", "qwen2-vl", "checkpoint"),
            "--prompt", prompt, "--max-new-tokens", "2");

        Assert.Equal(error is null ? 0 : 1, run.ExitCode);
        if (error is not null)
            Assert.Contains(error, (run.Out + run.Error).ReplaceLineEndings(" "), StringComparison.Ordinal);
    }
}
