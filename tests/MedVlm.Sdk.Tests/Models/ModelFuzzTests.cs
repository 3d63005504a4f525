using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>A whole checkpoint folder with one damaged file: loading it gives a model or a typed error, never anything else.</summary>
public sealed class ModelFuzzTests
{
    static readonly string s_checkpoint = Path.Combine(TestFolders.Repository, "tests", "goldens", "smolvlm", "checkpoint");

    [Theory]
    [InlineData("smolvlm", "config.json", 1), InlineData("smolvlm", "preprocessor_config.json", 2), InlineData("smolvlm", "generation_config.json", 3)]
    [InlineData("smolvlm", "tokenizer.json", 4), InlineData("blip", "config.json", 5), InlineData("blip", "tokenizer_config.json", 6)]
    public void Only_typed_errors_come_out(string family, string file, int seed)
    {
        var checkpoint = Path.Combine(TestFolders.Repository, "tests", "goldens", family, "checkpoint");
        using var folder = new TemporaryFolder();
        foreach (var path in Directory.EnumerateFiles(checkpoint))
            File.Copy(path, folder.File(Path.GetFileName(path)));

        int tried = Fuzz.Run<MedVlmException>(
            [File.ReadAllBytes(Path.Combine(checkpoint, file))],
            damaged =>
            {
                File.WriteAllBytes(folder.File(file), damaged);
                using var model = LoadedModel.Load(folder.Path, null, new RuntimeSettings(), TestContext.Current.CancellationToken);
            },
            seed);

        Assert.True(tried > 0);
    }

    [Theory]
    [InlineData("0", "0"), InlineData("-1.5", "-1.5"), InlineData("1e39", "Infinity")]
    public void A_repetition_penalty_that_is_none_is_named(string penalty, string said)
    {
        using var folder = new TemporaryFolder();
        foreach (var path in Directory.EnumerateFiles(s_checkpoint))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        File.WriteAllText(folder.File("generation_config.json"), $$"""{ "eos_token_id": 2, "repetition_penalty": {{penalty}} }""");

        var error = Assert.Throws<CheckpointException>(() => LoadedModel.Load(folder.Path, null, new RuntimeSettings(), TestContext.Current.CancellationToken));

        Assert.Equal($"generation_config.json: repetition_penalty is {said}, but it must be above 0. The file is damaged: fetch it again.", error.Message);
    }

    [Theory]
    [InlineData("\"hidden_size\": 96", "\"hidden_size\": -96", "config.json: hidden_size is -96, but it must lie between 1 and 1048576. The file is damaged: fetch it again.")]
    [InlineData("\"patch_size\": 4", "\"patch_size\": 5", "config.json: patches_per_side is 6, which is no multiple of scale_factor 4. The file is damaged: fetch it again.")]
    [InlineData("\"image_size\": 32", "\"image_size\": 64",
        "preprocessor_config.json: longest_edge is 32, but config.json has image_size 64. The files are of different models: take both from one revision.")]
    [InlineData("\"rope_theta\": 100000,", "\"rope_theta\": 100000, \"rope_scaling\": {\"type\": \"linear\"},",
        "text_config.rope_scaling is set, which this version of MedVlm.Sdk does not run: its captions would differ from the reference's. "
        + "Take a checkpoint of a supported family (docs/families lists them).")]
    [InlineData("\"model_type\": \"idefics3\",\n  \"scale_factor\"", "\"model_type\": \"bert\",\n  \"scale_factor\"", null)]
    [InlineData("\"vocab_size\": 646\n}", "\"vocab_size\": 646", "config.json: the file is not valid JSON at line 54, byte 1. The file is damaged or was cut short: fetch it again.")]
    public void A_damaged_setting_is_named(string setting, string damaged, string? message)
    {
        using var folder = new TemporaryFolder();
        foreach (var path in Directory.EnumerateFiles(s_checkpoint))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        var config = File.ReadAllText(folder.File("config.json"));
        Assert.Contains(setting, config);
        File.WriteAllText(folder.File("config.json"), config.Replace(setting, damaged, StringComparison.Ordinal));

        var error = Assert.ThrowsAny<MedVlmException>(
            () => LoadedModel.Load(folder.Path, null, new RuntimeSettings(), TestContext.Current.CancellationToken));

        if (message is not null)
            Assert.Equal(message, error.Message);
        else
            Assert.StartsWith("config.json: model_type is \"bert\", which this version of MedVlm.Sdk does not run. Supported: ", error.Message);
    }
}
