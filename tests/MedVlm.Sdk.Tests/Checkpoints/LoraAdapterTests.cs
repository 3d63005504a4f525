using System.Text.Json;
using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

public sealed class LoraAdapterTests
{
    static string Golden(string adapter) => Path.Combine(TestFolders.Repository, "tests", "goldens", "smolvlm", adapter);

    static LoraConfig Config(string more = "", string targets = "[\"q_proj\"]") => JsonSerializer.Deserialize(
        $$"""{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":{{targets}}{{(more.Length > 0 ? "," + more : "")}}}""", LoraJson.Default.LoraConfig)!;

    [Theory]
    [InlineData("[\"q_proj\"]", "model.layers.0.self_attn.q_proj", true)]
    [InlineData("[\"q_proj\"]", "model.layers.0.self_attn.xq_proj", false)]      // the end of the path, part by part
    [InlineData("[\"self_attn.q_proj\"]", "model.layers.0.self_attn.q_proj", true)]
    [InlineData("[\"lm_head\"]", "lm_head", true)]
    [InlineData("\".*layers\\\\.\\\\d+\\\\..*q_proj\"", "model.layers.12.self_attn.q_proj", true)]
    [InlineData("\"layers\"", "model.layers.0.self_attn.q_proj", false)]         // an expression matches the whole path
    [InlineData("\"a|model.b\"", "model.b", true)]
    public void Targets_are_names_or_one_expression(string targets, string module, bool expected) =>
        Assert.Equal(expected, Config(targets: targets).Targets(module));

    [Theory]
    [InlineData("", "m.q_proj", 2f)]                                                                  // 8 / 4
    [InlineData("\"use_rslora\":true", "m.q_proj", 4f)]                                                // 8 / sqrt(4)
    [InlineData("\"rank_pattern\":{\"q_proj\":16}", "m.q_proj", 0.5f)]
    [InlineData("\"rank_pattern\":{\"layers.1.q_proj\":16}", "m.layers.0.q_proj", 2f)]
    [InlineData("\"rank_pattern\":{\"^m.layers.[0-2].q_proj\":16}", "m.layers.0.q_proj", 0.5f)]
    [InlineData("\"alpha_pattern\":{\"q_proj\":32}", "m.q_proj", 8f)]
    [InlineData("\"alpha_pattern\":{\"q_proj\":32},\"rank_pattern\":{\"q_proj\":64},\"use_rslora\":true", "m.q_proj", 4f)]
    public void Scale_is_alpha_over_the_rank_or_its_root(string more, string module, float expected) =>
        Assert.Equal(expected, Config(more).Scale(module));

    [Theory]
    [InlineData("\"use_dora\":true", "adapter_config.json: use_dora is true, which this library does not merge: only false. "
        + "Merge the adapter into its base in Python (merge_and_unload) and load the result.")]
    [InlineData("\"bias\":\"all\"", "adapter_config.json: bias is \"all\", which this library does not merge: only \"none\". "
        + "Merge the adapter into its base in Python (merge_and_unload) and load the result.")]
    [InlineData("\"modules_to_save\":[\"lm_head\"]", "adapter_config.json: modules_to_save is [\"lm_head\"], which this library does not merge: only null. "
        + "Merge the adapter into its base in Python (merge_and_unload) and load the result.")]
    [InlineData("\"rank_pattern\":{\"q\":0}", "adapter_config.json: a rank is 0, but it must lie between 1 and 65536. "
        + "The file is damaged or was cut short: fetch it again.")]
    public void Refuses_what_it_does_not_merge(string more, string message) =>
        Assert.Equal(message, Assert.Throws<CheckpointException>(Config(more).Check).Message);

    [Theory]
    [InlineData("[\"q_proj\",1]", "adapter_config.json: target_modules[1] is \"1\", but must be the name of a module. The file is damaged or was cut short: fetch it again.")]
    [InlineData("[null]", "adapter_config.json: target_modules[0] is \"null\", but must be the name of a module. The file is damaged or was cut short: fetch it again.")]
    [InlineData("{}", "adapter_config.json: target_modules is neither a list of names nor a regular expression. The file is damaged or was cut short: fetch it again.")]
    public async Task Modules_that_are_no_names_end_the_load(string targets, string message)
    {
        using var folder = new TemporaryFolder();
        folder.Write("adapter_config.json", $$"""{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":{{targets}}}""");
        folder.Write("adapter_model.safetensors", File.ReadAllBytes(Path.Combine(Golden("lora-qv"), "adapter_model.safetensors")));

        var error = await Assert.ThrowsAsync<CheckpointException>(() => MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions
            {
                Model = Path.Combine(TestFolders.Repository, "tests", "goldens", "smolvlm", "checkpoint"), Adapter = folder.Path, Precision = Precision.Fp32, Device = "cpu",
            }, cancellationToken: TestContext.Current.CancellationToken));

        Assert.Equal(message, error.Message);
    }

    [Fact]
    public void Refuses_an_expression_that_is_none_or_runs_for_ever()
    {
        Assert.Throws<CheckpointException>(() => Config(targets: "\"(\"").Targets("m"));
        Assert.Throws<CheckpointException>(() => Config(targets: "\"(a+)+b\"").Targets(new string('a', 60)));
    }

    [Fact]
    public void A_wrong_base_is_named_by_what_is_missing()
    {
        using var adapter = LoraAdapter.Open(Golden("lora-qv"));
        using var tiny = Checkpoint.Open(TestFolders.TinyModel);   // has more layers, and other sizes

        var error = Assert.Throws<CheckpointException>(() => adapter.Bind(tiny.Tensors, module => [module]));

        Assert.Contains("The adapter is of another base model", error.Message);
        Assert.Contains("lora_A.weight\"", error.Message);
    }

    [Fact]
    public void Tensors_without_a_layer_in_the_base_are_named()
    {
        using var adapter = LoraAdapter.Open(Golden("lora-qv"));
        using var checkpoint = Checkpoint.Open(Path.Combine(TestFolders.Repository, "tests", "goldens", "smolvlm", "checkpoint"));
        var smaller = checkpoint.Tensors.Where(tensor => !tensor.Key.StartsWith("model.text_model.layers.2.", StringComparison.Ordinal)).ToDictionary();

        var error = Assert.Throws<CheckpointException>(() => adapter.Bind(smaller, module => [module]));

        Assert.Equal(
            "adapter_model.safetensors: 4 tensors belong to no linear layer of the base that target_modules of adapter_config.json names: "
            + "\"base_model.model.model.text_model.layers.2.self_attn.q_proj.lora_A.weight\", "
            + "\"base_model.model.model.text_model.layers.2.self_attn.q_proj.lora_B.weight\", "
            + "\"base_model.model.model.text_model.layers.2.self_attn.v_proj.lora_A.weight\", "
            + "\"base_model.model.model.text_model.layers.2.self_attn.v_proj.lora_B.weight\". "
            + "The adapter is of another base model: take the base that it names as base_model_name_or_path.", error.Message);
    }

    [Fact]
    public async Task Captioners_with_different_adapters_stand_side_by_side()
    {
        var token = TestContext.Current.CancellationToken;
        var model = Path.Combine(TestFolders.Repository, "tests", "goldens", "smolvlm", "checkpoint");
        var image = MedicalImage.FromFile(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg"));
        var texts = new List<string>();
        var captioners = new List<MedicalCaptioner>();
        foreach (var adapter in (string?[])[null, Golden("lora-qv"), Golden("lora-all"), null])
            captioners.Add(await MedicalCaptioner.LoadAsync(new MedicalCaptionerOptions { Model = model, Adapter = adapter }, cancellationToken: token));

        foreach (var captioner in captioners)
            texts.Add((await captioner.CaptionAsync(image, new CaptionOptions { MaxNewTokens = 8 }, token)).Text);
        foreach (var captioner in captioners)
            await captioner.DisposeAsync();

        Assert.Equal(texts[0], texts[3]);
        Assert.Equal(3, texts.Distinct().Count());
    }
}
