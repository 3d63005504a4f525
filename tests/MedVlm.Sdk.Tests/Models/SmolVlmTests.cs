using System.Text.Json.Nodes;
using MedVlm.Checkpoints;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>SmolVLM's files as other versions of transformers, and fine-tunes, write them.</summary>
public sealed class SmolVlmTests
{
    static readonly string s_small = Path.Combine(TestFolders.Repository, "tests", "goldens", "smolvlm", "checkpoint");
    static readonly string s_published = Path.Combine(TestFolders.Repository, "tests", "MedVlm.Sdk.Benchmarks", "configs", "smolvlm");

    static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>transformers 5 writes rope_parameters in place of rope_theta.</summary>
    [Fact]
    public async Task Rope_parameters_say_the_same_as_rope_theta()
    {
        var golden = GoldenCase.Load(GoldenCase.Names().First(name => name.StartsWith("smolvlm/", StringComparison.Ordinal)));
        using var folder = CheckpointCopy.Of(golden.Checkpoint, config =>
        {
            var text = config["text_config"]!.AsObject();
            Assert.NotEqual(10_000, text["rope_theta"]!.GetValue<double>());
            text["rope_parameters"] = new JsonObject { ["rope_theta"] = text["rope_theta"]!.GetValue<double>(), ["rope_type"] = "default" };
            text.Remove("rope_theta");
        });
        await using var captioner = await MedicalCaptioner.LoadAsync(folder.Path, Token);

        Assert.Equal(golden.GeneratedIds, (await captioner.CaptionAsync(golden.ToRequest(), Token)).TokenIds);
    }

    [Fact]
    public void Scaled_rope_parameters_are_refused()
    {
        using var folder = CheckpointCopy.Of(
            s_small, config => config["text_config"]!["rope_parameters"] = new JsonObject { ["rope_theta"] = 100_000, ["rope_type"] = "yarn" });

        var error = Assert.Throws<UnsupportedModelException>(() => Family(folder));
        Assert.StartsWith("text_config.rope_parameters.rope_type is \"yarn\", which this version of MedVlm.Sdk does not run", error.Message, StringComparison.Ordinal);
    }

    /// <summary>What equals the default of its configuration class is left out by save_pretrained: 32 layers in the published text_config.</summary>
    [Theory]
    [InlineData("text_config", "num_hidden_layers")]
    [InlineData("text_config", "head_dim")]
    public void A_file_that_was_saved_again_means_the_same(string part, string key)
    {
        using var folder = Published(config => Assert.True(config[part]!.AsObject().Remove(key)));

        var tensors = TensorList.ReadFrom(s_published);
        Assert.Equal(tensors.Keys.Order(StringComparer.Ordinal), TensorList.Asked(ModelGraphs.Build(Family(folder), tensors)).Order(StringComparer.Ordinal));
    }

    /// <summary>The 2.2B models: tiles of 384 in patches of 14, which leave six pixels over, and heads that the files do not tell.</summary>
    [Fact]
    public void Tiles_need_not_be_whole_patches()
    {
        using var folder = Published(config =>
        {
            config["scale_factor"] = 3;
            config["vision_config"] = new JsonObject { ["image_size"] = 384, ["patch_size"] = 14, ["intermediate_size"] = 4304, ["num_hidden_layers"] = 27 };
            config["text_config"] = new JsonObject
            {
                ["hidden_size"] = 2048, ["intermediate_size"] = 8192, ["num_hidden_layers"] = 24, ["rope_theta"] = 130_000, ["vocab_size"] = 49_155,
            };
        }, side: 384);
        var family = Family(folder);

        Assert.Equal(new DecoderShape(24, 49_155, 2048, 32, 64), family.Shape);
        var image = family.Prepare([RgbImage.Black(500, 400)], "what", new CaptionOptions());
        Assert.Equal(81, image.Vision[0].Features / (image.Vision[0].Inputs["pixel_values"].Shape[0]));
    }

    static TemporaryFolder Published(Action<JsonObject> change, int? side = null)
    {
        var folder = CheckpointCopy.Of(s_small, _ => { });
        foreach (var name in (string[])["config.json", "preprocessor_config.json"])
            folder.Write(name, File.ReadAllBytes(Path.Combine(s_published, name)));
        Change("config.json", change);
        if (side is not null)
            Change("preprocessor_config.json", processor => processor["max_image_size"]!["longest_edge"] = side);
        return folder;

        void Change(string file, Action<JsonObject> how)
        {
            var json = JsonNode.Parse(File.ReadAllText(folder.File(file)))!.AsObject();
            how(json);
            folder.Write(file, json.ToJsonString());
        }
    }

    static ModelFamily Family(TemporaryFolder folder)
    {
        using var checkpoint = Checkpoint.Open(folder.Path);
        return ModelRegistry.Create(new ModelSource(checkpoint));
    }
}
