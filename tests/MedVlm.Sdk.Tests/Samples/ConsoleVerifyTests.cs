using System.Text.Json.Nodes;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Samples;

/// <summary>The console sample's verify command.</summary>
public sealed class ConsoleVerifyTests : IDisposable
{
    static readonly string s_goldens = Path.Combine(TestFolders.Repository, "tests", "goldens");

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Agrees_with_every_golden_case()
    {
        var run = await ConsoleRun.Of("verify", s_goldens);

        Assert.Contains("(100 %)", run.Out, StringComparison.Ordinal);
        Assert.Equal(0, run.ExitCode);
        Assert.Matches(@"smolvlm/two-images +agrees +12 of 12 +100 % +equal +Fp32 +\d+", run.Out);
        Assert.Matches("smolvlm/tiny-no-split +agrees", run.Out);
    }

    [Fact]
    public async Task Agrees_with_the_references_of_the_sample_images()
    {
        var run = await ConsoleRun.Of("verify", TestFolders.Phantoms);

        Assert.Equal(0, run.ExitCode);
        Assert.Contains("72 of 72 cases agree (100 %).", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Finds_the_one_token_that_differs()
    {
        CopyFamily(cases => cases[0]!["generated_ids"]![2] = 3);

        var run = await ConsoleRun.Of("verify", _folder.Path);

        Assert.Equal(1, run.ExitCode);
        Assert.Matches(@"smolvlm/xray-describe +DISAGREES +2 of 24 +8 % +equal", run.Out);
        Assert.Contains("6 of 7 cases agree (85 %).", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Lists_what_it_cannot_run_and_fails_for_an_image_that_is_missing()
    {
        CopyFamily(cases =>
        {
            while (cases.Count > 2)
                cases.RemoveAt(2);
            cases[0]!["max_pixels"] = 6272;
            cases[1]!["image"] = "images/none.png";
        });
        _folder.Write("newer/cases.json", File.ReadAllBytes(_folder.File("smolvlm/cases.json")));
        _folder.Write("newer/checkpoint/config.json", """{ "model_type": "newer" }""");
        _folder.Write("newer/checkpoint/model.safetensors", File.ReadAllBytes(_folder.File("smolvlm/checkpoint/model.safetensors")));
        _folder.Write("elsewhere/cases.json", File.ReadAllBytes(_folder.File("smolvlm/cases.json")));

        var run = await ConsoleRun.Of("verify", _folder.Path);

        Assert.Equal(1, run.ExitCode);
        Assert.Matches("newer: 2 cases +not supported yet", run.Out);
        Assert.Matches("elsewhere: 2 cases +no checkpoint here", run.Out);
        Assert.Matches("smolvlm/xray-describe +skipped: no option for max_pixels", run.Out);
        Assert.Matches("smolvlm/us-question +FAILED", run.Out);
        Assert.Contains("0 of 1 cases agree (0 %), 3 skipped, 2 of families that are not supported yet.", run.Out, StringComparison.Ordinal);
    }

    /// <summary>Copies the goldens of SmolVLM, with the cases changed.</summary>
    void CopyFamily(Action<JsonArray> change)
    {
        foreach (var folder in (string[])["images", "smolvlm/checkpoint"])
            foreach (var file in Directory.GetFiles(Path.Combine(s_goldens, folder)))
                _folder.Write($"{folder}/{Path.GetFileName(file)}", File.ReadAllBytes(file));
        var cases = JsonNode.Parse(File.ReadAllText(Path.Combine(s_goldens, "smolvlm", "cases.json")))!.AsArray();
        change(cases);
        _folder.Write("smolvlm/cases.json", cases.ToJsonString());
    }
}
