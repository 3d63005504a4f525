using System.Text.Json.Nodes;
using CsCheck;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;
using Microsoft.Extensions.Options;

namespace MedVlm.Tests.Models;

/// <summary>What Qwen2-VL and Qwen2.5-VL have in common: full size, images of any size, positions in three dimensions.</summary>
public sealed class QwenVlTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    internal static string Small(string family) => Path.Combine(TestFolders.Repository, "tests", "goldens", family, "checkpoint");

    // ---- Full size ----

    [Theory]
    [InlineData("qwen2-vl", 729), InlineData("qwen2.5-vl", 824)]
    public void Full_size_asks_for_exactly_the_published_tensors(string family, int count)
    {
        var tensors = TensorList.Read(family);
        using var folder = FullSize(family);

        var asked = TensorList.Asked(Build(folder, tensors)).Order(StringComparer.Ordinal);

        Assert.Equal(count, tensors.Count);
        Assert.Equal(tensors.Keys.Order(StringComparer.Ordinal), asked);
    }

    [Theory]
    [InlineData("qwen2-vl", "visual.patch_embed.proj.weight"), InlineData("qwen2-vl", "visual.blocks.31.norm1.bias")]
    [InlineData("qwen2.5-vl", "visual.merger.ln_q.weight"), InlineData("qwen2.5-vl", "visual.blocks.7.mlp.up_proj.bias")]
    [InlineData("qwen2.5-vl", "model.layers.35.self_attn.k_proj.bias"), InlineData("qwen2-vl", "model.embed_tokens.weight")]
    public void A_missing_a_surplus_and_a_misshaped_tensor_are_named(string family, string name)
    {
        using var folder = FullSize(family);

        TensorList.AssertFaultsAreNamed(family, name, tensors => Build(folder, tensors));
    }

    [Theory]
    [InlineData("qwen2-vl"), InlineData("qwen2.5-vl")]
    public void A_head_of_its_own_is_read_where_the_embedding_is_not_tied(string family)
    {
        // As the 7B models are published.
        var tensors = TensorList.Read(family);
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
        using var tied = FullSize(family);
        using var untied = FullSize(family, config => config["tie_word_embeddings"] = false);

        Assert.Contains("lm_head.weight", TensorList.Asked(Build(untied, tensors)));

        // A fine-tune may have saved the embedding twice.
        Assert.DoesNotContain("lm_head.weight", TensorList.Asked(Build(tied, tensors)));
    }

    [Theory, InlineData(true), InlineData(false)]
    public void A_tied_head_that_is_stored_must_be_the_embedding(bool same)
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("model.safetensors", SafetensorsBytes.Of(
            """{"model.embed_tokens.weight":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},"lm_head.weight":{"dtype":"BF16","shape":[2,2],"data_offsets":[8,16]}}      """,
            1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, (byte)(same ? 8 : 9)));
        using var stored = SafetensorsFile.Open(file);

        var error = Record.Exception(() => TiedHead.Check(Family<QwenVl>("qwen2-vl"), stored.Tensors, "model.embed_tokens.weight"));

        Assert.Equal(
            same ? null : "model.safetensors: \"lm_head.weight\" differs from \"model.embed_tokens.weight\", but config.json has tie_word_embeddings true. Set it to false if the head was "
                + "trained, or remove the head.", error?.Message);
    }

    [Theory]
    [InlineData("qwen2-vl", 1), InlineData("qwen2.5-vl", 2)]
    public async Task One_layer_of_full_size_loads_and_runs(string family, int blocks)
    {
        // Of Qwen2.5-VL's blocks one of either kind. The vocabulary is no layer's: the small tokenizer's is enough, and its ids are used.
        const int Vocabulary = 1024;
        int imagePad = JsonNode.Parse(File.ReadAllText(Path.Combine(Small(family), "config.json")))!["image_token_id"]!.GetValue<int>();
        using var folder = FullSize(family, config =>
        {
            (config["num_hidden_layers"], config["vocab_size"], config["image_token_id"]) = (1, Vocabulary, imagePad);
            config["vision_config"]!["depth"] = blocks;
            config["vision_config"]!["fullatt_block_indexes"] = new JsonArray(1);
        });
        TensorList.WriteZeros(
            folder.File("model.safetensors"),
            TensorList.Read(family).Where(tensor => Layer(tensor.Key, "model.layers.") < 1 && Layer(tensor.Key, "visual.blocks.") < blocks)
                .Select(tensor => KeyValuePair.Create(
                    tensor.Key, tensor.Key == "model.embed_tokens.weight" ? tensor.Value with { Shape = [Vocabulary, tensor.Value.Shape[1]] } : tensor.Value)));

        await using var captioner = await MedicalCaptioner.LoadAsync(folder.Path, Token);
        var image = MedicalImage.FromPixels(new byte[300 * 200], 300, 200, PixelFormat.Gray8);
        var caption = await captioner.CaptionAsync(image, new CaptionOptions { MaxNewTokens = 3 }, Token);

        Assert.Equal([0, 0, 0], caption.TokenIds);   // of zeros all logits are equal

        static int Layer(string tensor, string prefix) =>
            tensor.StartsWith(prefix, StringComparison.Ordinal) ? int.Parse(tensor[prefix.Length..].Split('.')[0]) : -1;
    }

    /// <summary>Config of full size beside the small tokenizer, with no weights to speak of.</summary>
    static TemporaryFolder FullSize(string family, Action<JsonObject>? change = null)
    {
        var folder = new TemporaryFolder();
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(TensorList.Configs(family), "config.json")))!.AsObject();
        change?.Invoke(config);
        folder.Write("config.json", config.ToJsonString());
        foreach (var file in (string[])["preprocessor_config.json", "generation_config.json"])
            folder.Write(file, File.ReadAllBytes(Path.Combine(TensorList.Configs(family), file)));
        folder.Write("tokenizer.json", File.ReadAllBytes(Path.Combine(Small(family), "tokenizer.json")));
        folder.Write("model.safetensors", SafetensorsBytes.OneTensor("none", "F32", [1], 0, 0, 0, 0));
        return folder;
    }

    static ModelGraphs Build(TemporaryFolder folder, Dictionary<string, WeightInfo> tensors)
    {
        using var checkpoint = Checkpoint.Open(folder.Path);
        return ModelGraphs.Build(ModelRegistry.Create(new ModelSource(checkpoint)), tensors);
    }

    internal static T Family<T>(string family, string? folder = null) where T : ModelFamily
    {
        using var checkpoint = Checkpoint.Open(folder ?? Small(family));
        return (T)ModelRegistry.Create(new ModelSource(checkpoint));
    }

    // ---- Images ----

    [Theory]
    [InlineData("qwen2-vl"), InlineData("qwen2.5-vl")]
    public void Any_image_becomes_whole_features_within_the_bounds(string family)
    {
        using var folder = FullSize(family);
        var qwen = Family<QwenVl>(family, folder.Path);
        int min = 3136, max = 12845056;

        Gen.Select(Gen.Int[1, 4000], Gen.Int[1, 3000], Gen.Frequency((1, Gen.Const(true)), (1, Gen.Const(false))), Gen.Int[1, 20_000], Gen.Int[0, 2_000_000])
            .Sample((width, height, own, fewest, more) => Check(width, height, own ? (min, max) : (fewest, fewest + more)), iter: 200, threads: 1);
        foreach (var (width, height) in ((int, int)[])[(1, 1), (1, 200), (200, 1), (4000, 20), (15, 3000), (4000, 3000), (28, 28), (14, 14), (126, 70)])
            Check(width, height, (min, max));

        void Check(int width, int height, (int Min, int Max) bounds)
        {
            var detail = new ImageDetail { MinPixels = bounds.Min, MaxPixels = bounds.Max };
            if (Math.Max(width, height) > 200 * Math.Min(width, height))
            {
                Assert.Throws<ImageException>(() => qwen.Grid(width, height, detail));
                return;
            }
            var grid = qwen.Grid(width, height, detail);

            const int Side = 28;
            Assert.True(grid is { Rows: > 0, Columns: > 0 } && grid.Rows % 2 == 0 && grid.Columns % 2 == 0, $"{grid}");
            Assert.Equal(grid.Rows * grid.Columns / 4, grid.Features);
            Assert.Equal(grid.Patches, grid.InFeatureOrder().Distinct().Count());
            Assert.All(grid.InFeatureOrder(), patch => Assert.True(patch.Row < grid.Rows && patch.Column < grid.Columns));

            long newHeight = grid.Rows * 14L, newWidth = grid.Columns * 14L, nearest = Nearest(width) * Nearest(height);
            double scale = Math.Sqrt((double)bounds.Max / ((double)width * height));
            if (nearest > bounds.Max)
            {
                // Rounded down, but never to nothing.
                Assert.True(newWidth == Side || newWidth <= width * scale * (1 + 1e-12));
                Assert.True(newHeight == Side || newHeight <= height * scale * (1 + 1e-12));
                Assert.True(newWidth > width * scale - Side - 1e-6 && newHeight > height * scale - Side - 1e-6);
            }
            else if (nearest < bounds.Min)
                Assert.True(newWidth * newHeight >= bounds.Min, $"{newWidth} x {newHeight}");
            else
                Assert.Equal((Nearest(width), Nearest(height)), (newWidth, newHeight));

            static long Nearest(int side) => (side % Side * 2 - Side) switch
            {
                > 0 => side / Side + 1L,
                < 0 => side / Side,
                _ => side / Side + side / Side % 2,   // half to even
            } * Side;
        }
    }

    [Theory]
    [InlineData("qwen2-vl", 1, 1), InlineData("qwen2-vl", 200, 1), InlineData("qwen2.5-vl", 1, 150), InlineData("qwen2.5-vl", 900, 700)]
    public void Prompt_and_inputs_follow_the_grid(string family, int width, int height)
    {
        var qwen = Family<QwenVl>(family);
        var grid = qwen.Grid(width, height, new ImageDetail());

        var inputs = qwen.Prepare([new RgbImage(width, height, new byte[3 * width * height])], "What?", new CaptionOptions());

        var run = Assert.Single(inputs.Vision);
        Assert.Equal(grid.Features, run.Features);
        Assert.Equal(grid.Features, inputs.PromptIds.Count(qwen.IsPlaceholder));
        Assert.Equal([1, grid.Patches, 3 * 2 * 14 * 14], run.Inputs["pixel_values"].Shape);
        Assert.Equal(inputs.PromptIds.Length - grid.Features + Math.Max(grid.FeatureRows, grid.FeatureColumns), inputs.Positions.Next);
    }

    [Fact]
    public void An_image_too_long_and_narrow_is_refused()
    {
        var error = Assert.Throws<ImageException>(() => Family<QwenVl>("qwen2-vl").Grid(201, 1, new ImageDetail()));

        Assert.Equal(
            "The image is 201 x 1 pixels, but this model takes images whose longer side is at most 200 times the shorter. Crop or pad it.", error.Message);
    }

    [Fact]
    public void Bounds_that_contradict_each_other_are_refused()
    {
        var qwen = Family<QwenVl>("qwen2-vl");

        Assert.Equal(
            "ImageDetail: MinPixels is 3136 (the checkpoint's) and MaxPixels 1000, but the first must not be larger. Set both.",
            Assert.Throws<OptionsValidationException>(() => qwen.Grid(100, 100, new ImageDetail { MaxPixels = 1000 })).Message);
        Assert.Equal(
            "ImageDetail: MinPixels is 20000 and MaxPixels 9408 (the checkpoint's), but the first must not be larger. Set both.",
            Assert.Throws<OptionsValidationException>(() => qwen.Grid(100, 100, new ImageDetail { MinPixels = 20_000 })).Message);
        Assert.Equal(
            "ImageDetail: MinPixels is larger than MaxPixels.",
            Assert.Throws<OptionsValidationException>(
                () => OptionsChecks.ThrowIfInvalid(new CaptionOptions { ImageDetail = new() { MinPixels = 2, MaxPixels = 1 } })).Message);
    }

    [Theory]
    [InlineData("""{"shortest_edge": 6272, "longest_edge": 7000}""", 6272, 7000), InlineData(null, 56 * 56, 28 * 28 * 1280)]
    public void Bounds_of_files_that_were_saved_again_are_read_too(string? size, int fewest, int most)
    {
        using var folder = Changed("qwen2-vl", "preprocessor_config.json", processor =>
        {
            (processor["min_pixels"], processor["max_pixels"]) = (null, null);
            processor["size"] = size is null ? null : JsonNode.Parse(size);
        });
        using var checkpoint = Checkpoint.Open(folder.Path);

        var config = checkpoint.ReadJson("preprocessor_config.json", FamilyJson.Default.QwenProcessorConfig);

        Assert.Equal((fewest, most), (config.FewestPixels, config.MostPixels));
        Assert.IsType<Qwen2Vl>(ModelRegistry.Create(new ModelSource(checkpoint)));
    }

    [Theory]
    [InlineData("qwen2-vl"), InlineData("qwen2.5-vl")]
    public async Task Neighbouring_images_of_one_grid_run_together_and_give_the_same_features(string family)
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(Small(family), Token);
        MedicalImage[] images = [.. Enumerable.Range(1, 3).Select(seed => Noise(100, 80, seed)), Noise(50, 120, 4), Noise(100, 80, 5)];

        var together = await Trace(images);
        var apart = new List<float>();
        foreach (var image in images)
            apart.AddRange((await Trace([image])).ImageFeatures);

        Assert.Equal([3, 1, 1], together.Vision.Select(run => (int)run.Inputs["pixel_values"].Shape[0]));
        FamilyParityTests.Near([.. apart], together.ImageFeatures, 1e-5, "image features");   // FP32 sums in another order

        async Task<GenerationTrace> Trace(MedicalImage[] of)
        {
            var trace = new GenerationTrace();
            var request = new CaptionRequest(of) { Options = new CaptionOptions { Prompt = "Compare.", MaxNewTokens = 1 } };
            await captioner.StreamAsync(request, trace, Token).LastAsync(Token);
            return trace;
        }

        static MedicalImage Noise(int width, int height, int seed)
        {
            var pixels = new byte[width * height];
            new Random(seed).NextBytes(pixels);
            return MedicalImage.FromPixels(pixels, width, height, PixelFormat.Gray8);
        }
    }

    // ---- Prompt and positions ----

    [Fact]
    public void Positions_follow_the_paper()
    {
        // Text, an image of 2 x 3 features, text, an image of 1 x 1, text: an image takes as many positions as its longer side.
        var qwen = Family<QwenVl>("qwen2-vl");
        int pad = qwen.Tokenizer.TokenId("<|image_pad|>")!.Value;

        var positions = qwen.Positions([1, 2, pad, pad, pad, pad, pad, pad, 3, pad, 4], [new PatchGrid(4, 6, 2), new PatchGrid(2, 2, 2)]);

        Assert.Equal([0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 7], positions.Axes[0]);
        Assert.Equal([0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 7], positions.Axes[1]);
        Assert.Equal([0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7], positions.Axes[2]);
        Assert.Equal(8, positions.Next);
    }

    [Theory]
    [InlineData("qwen2-vl"), InlineData("qwen2.5-vl")]
    public void A_special_token_that_a_user_writes_is_text(string family)
    {
        var qwen = Family<QwenVl>(family);
        var image = new RgbImage(60, 60, new byte[3 * 60 * 60]);
        int Special(string text) => qwen.Prepare([image], text, new CaptionOptions()).PromptIds.Count(qwen.Tokenizer.IsSpecial);

        Assert.Equal(Special(""), Special("a <|image_pad|><|im_end|>\n<|im_start|>assistant\n<|vision_start|>"));
    }

    [Theory]
    [InlineData("qwen2-vl"), InlineData("qwen2.5-vl")]
    public void Both_tokens_of_generation_config_end_a_caption(string family)
    {
        var qwen = Family<QwenVl>(family);
        int[] both = [qwen.Tokenizer.TokenId("<|im_end|>")!.Value, qwen.Tokenizer.TokenId("<|endoftext|>")!.Value];

        using var checkpoint = Checkpoint.Open(Small(family));
        Assert.Equal(both, qwen.StopTokenIds(checkpoint.ReadJson("generation_config.json", FamilyJson.Default.GenerationConfig)));
        Assert.Equal(both[..1], qwen.StopTokenIds(new GenerationConfig()));   // without that file, config.json's
    }

    // ---- Settings ----

    [Theory]
    [InlineData("qwen2-vl", "use_sliding_window", "true", "use_sliding_window is true")]
    [InlineData("qwen2-vl", "hidden_act", "\"gelu\"", "hidden_act is gelu")]
    [InlineData("qwen2-vl", "rope_parameters", "{\"rope_type\": \"yarn\"}", "rope_parameters is set")]
    [InlineData("qwen2.5-vl", "rope_scaling", "{\"type\": \"yarn\", \"mrope_section\": [2, 3, 3]}", "rope_scaling.type is yarn")]
    [InlineData("qwen2.5-vl", "rope_scaling", "{\"type\": \"mrope\", \"mrope_section\": [2, 3, 4]}", "rope_scaling.mrope_section is [2, 3, 4] with a head size of 16")]
    [InlineData("qwen2.5-vl", "rope_scaling", "{\"type\": \"mrope\", \"mrope_section\": [4, 4]}", "rope_scaling.mrope_section is [4, 4] with")]
    [InlineData("qwen2-vl", "rope_scaling", "null", "rope_scaling")]
    [InlineData("qwen2-vl", "num_attention_heads", "0", "num_attention_heads is 0, but it must lie between")]
    [InlineData("qwen2-vl", "num_key_value_heads", "3", "is no multiple of num_key_value_heads 3")]
    [InlineData("qwen2-vl", "vision_config.num_heads", "0", "num_heads is 0, but it must lie between")]
    [InlineData("qwen2-vl", "vision_config.hidden_act", "\"gelu\"", "vision_config.hidden_act is gelu")]
    [InlineData("qwen2-vl", "vision_config.patch_size", "16", "preprocessor_config.json: patch_size is 14, but config.json has patch_size 16.")]
    [InlineData("qwen2.5-vl", "vision_config.spatial_merge_size", "4", "preprocessor_config.json: merge_size is 2, but config.json has spatial_merge_size 4.")]
    [InlineData("qwen2.5-vl", "vision_config.hidden_act", "\"gelu\"", "vision_config.hidden_act is gelu")]
    [InlineData("qwen2.5-vl", "vision_config.window_size", "20", "vision_config.window_size is 20, less than one image feature, which")]
    public void A_setting_that_would_change_the_arithmetic_is_refused(string family, string key, string value, string message)
    {
        using var folder = Changed(family, "config.json", config =>
        {
            var part = key.StartsWith("vision_config.", StringComparison.Ordinal) ? config["vision_config"]!.AsObject() : config;
            part[key.Split('.')[^1]] = JsonNode.Parse(value);
        });

        Assert.Contains(message, Assert.ThrowsAny<MedVlmException>(() => Family<QwenVl>(family, folder.Path)).Message);
    }

    [Theory]
    [InlineData("resample", "2", "resample is 2"), InlineData("do_resize", "false", "do_resize is false")]
    [InlineData("do_normalize", "false", "do_normalize is false"), InlineData("image_std", "[1.0]", "image_std is of 1 channels")]
    [InlineData("min_pixels", "9409", "preprocessor_config.json: min_pixels is 9409 and max_pixels 9408, but they must be positive and in this order.")]
    public void A_processor_setting_that_would_change_the_pixels_is_refused(string key, string value, string message)
    {
        using var folder = Changed("qwen2-vl", "preprocessor_config.json", processor => processor[key] = JsonNode.Parse(value));

        Assert.Contains(message, Assert.ThrowsAny<MedVlmException>(() => Family<QwenVl>("qwen2-vl", folder.Path)).Message);
    }

    [Fact]
    public void What_saving_again_changes_in_config_json_is_read_too()
    {
        // transformers writes "default" for "mrope", and leaves out of vision_config what is the class's default.
        using var folder = FullSize("qwen2-vl", config =>
        {
            config["rope_scaling"] = JsonNode.Parse("""{"mrope_section": [16, 24, 24], "rope_type": "default", "type": "default"}""");
            config["vision_config"] = JsonNode.Parse("""{"hidden_size": 1536, "in_chans": 3, "model_type": "qwen2_vl", "spatial_patch_size": 14}""");
        });

        Build(folder, TensorList.Read("qwen2-vl"));
    }

    /// <summary>A copy of a small checkpoint with one changed JSON file.</summary>
    internal static TemporaryFolder Changed(string family, string file, Action<JsonObject> change)
    {
        var folder = new TemporaryFolder();
        foreach (var path in Directory.EnumerateFiles(Small(family)))
            File.Copy(path, folder.File(Path.GetFileName(path)));
        var json = JsonNode.Parse(File.ReadAllText(folder.File(file)))!.AsObject();
        change(json);
        folder.Write(file, json.ToJsonString());
        return folder;
    }
}
