using System.Text.Json.Nodes;
using CsCheck;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Models;

/// <summary>LLaVA-Med beyond its golden cases: a separate vision tower, full size, images of any size, the sliding window.</summary>
public sealed class LlavaMedTests
{
    const string Family = "llava-med", TowerFolder = "clip-vit-large-patch14-336", Tower = "model.vision_tower.vision_tower.vision_model.";

    static readonly string s_goldens = Path.Combine(TestFolders.Repository, "tests", "goldens", Family);
    static readonly string s_checkpoint = Path.Combine(s_goldens, "checkpoint"), s_noTower = Path.Combine(s_goldens, "checkpoint-no-tower");

    static CancellationToken Token => TestContext.Current.CancellationToken;

    // ---- The tower: inside, or in a folder of its own ----

    public static TheoryData<string> Cases =>
        [.. GoldenCase.Names().Where(name => name.StartsWith(Family + "/", StringComparison.Ordinal) && Directory.Exists(Path.Combine(TestFolders.Goldens, Family, TowerFolder)))];

    [Theory(SkipTestWithoutData = true), MemberData(nameof(Cases)), Trait("Category", "Golden")]
    public async Task A_separate_tower_gives_every_case(string name)
    {
        var golden = GoldenCase.Load(name);
        var folder = Path.Combine(TestFolders.Goldens, Family);
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = Path.Combine(folder, "checkpoint-no-tower"), VisionTower = Path.Combine(folder, TowerFolder) },
            cancellationToken: Token);

        await FamilyParityTests.AssertSame(golden, captioner);
    }

    [Fact]
    public async Task A_tower_that_config_json_names_is_found_beside_it()
    {
        using var folder = CheckpointCopy.Of(s_noTower, config => config["mm_vision_tower"] = "clip");
        foreach (var path in Directory.EnumerateFiles(Path.Combine(s_goldens, TowerFolder)))
            folder.Write(Path.Combine("clip", Path.GetFileName(path)), File.ReadAllBytes(path));

        await using var captioner = await MedicalCaptioner.LoadAsync(folder.Path, Token);
        Assert.NotEmpty((await captioner.CaptionAsync(new CaptionRequest(Gray(40, 30)), Token)).TokenIds);
    }

    [Fact]
    public void A_tower_that_config_json_names_is_found_in_the_hub_cache()
    {
        using var cache = new TemporaryFolder();
        foreach (var file in (string[])["config.json", "model.safetensors"])
            cache.Write(Path.Combine("models--openai--clip", "snapshots", "abc123", file), File.ReadAllBytes(Path.Combine(s_goldens, TowerFolder, file)));
        cache.Write(Path.Combine("models--openai--clip", "refs", "main"), "abc123");

        using var checkpoint = Checkpoint.Open(s_noTower);
        Assert.Equal(
            cache.File(Path.Combine("models--openai--clip", "snapshots", "abc123")),
            ClipCheckpoint.Find(new ModelSource(checkpoint), "openai/clip", new HubCache(cache.Path)));
    }

    [Fact]
    public async Task A_tower_given_by_option_is_taken_in_place_of_the_one_inside()
    {
        using var zeros = new TemporaryFolder();
        zeros.Write("config.json", File.ReadAllBytes(Path.Combine(s_goldens, TowerFolder, "config.json")));
        using (var clip = Checkpoint.Open(Path.Combine(s_goldens, TowerFolder)))
            TensorList.WriteZeros(zeros.File("model.safetensors"), clip.Tensors.Select(
                tensor => KeyValuePair.Create(tensor.Key, new WeightInfo("", tensor.Value.Shape))));

        async Task<float[]> Features(string? tower)
        {
            await using var captioner = await MedicalCaptioner.LoadAsync(
                new MedicalCaptionerOptions { Model = s_checkpoint, VisionTower = tower }, cancellationToken: Token);
            var trace = new GenerationTrace();
            await captioner.StreamAsync(new CaptionRequest(Gray(40, 30)), trace, Token).LastAsync(Token);
            return trace.ImageFeatures;
        }

        var own = await Features(null);
        Assert.NotEqual(own, await Features(zeros.Path));
        FamilyParityTests.Near(own, await Features(Path.Combine(s_goldens, TowerFolder)), 1e-3, "features");
    }

    [Fact]
    public async Task A_tower_that_is_nowhere_says_what_to_fetch()
    {
        using var folder = CheckpointCopy.Of(s_noTower, config => config["mm_vision_tower"] = "nobody/no-such-tower");
        var error = await Assert.ThrowsAsync<ModelNotFoundException>(() => MedicalCaptioner.LoadAsync(folder.Path, Token));

        Assert.StartsWith(
            "The checkpoint holds no vision tower of its own, and the one that config.json names (mm_vision_tower \"nobody/no-such-tower\") was not found. "
            + "Model \"nobody/no-such-tower\" was not found. Looked for:", error.Message);
        Assert.Contains("Download it with: hf download nobody/no-such-tower\n", error.Message);
        Assert.EndsWith("\nOr name its folder by the option VisionTower.", error.Message);
    }

    [Fact]
    public async Task A_tower_is_never_looked_for_on_the_network()
    {
        using var folder = CheckpointCopy.Of(s_noTower, config => config["mm_vision_tower"] = @"\\host\share");
        var error = await Assert.ThrowsAsync<ModelNotFoundException>(() => MedicalCaptioner.LoadAsync(folder.Path, Token));
        Assert.Contains("No model is named.", error.Message);
    }

    [Fact]
    public async Task A_tower_that_is_a_pickle_says_how_to_convert_it()
    {
        using var tower = new TemporaryFolder();
        tower.Write("config.json", "{}");
        tower.Write("pytorch_model.bin", "pickle");
        var error = await Assert.ThrowsAsync<CheckpointException>(() => MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = s_noTower, VisionTower = tower.Path }, cancellationToken: Token));

        Assert.Equal(
            $"pytorch_model.bin of the vision tower \"{tower.Path}\": weights in pickle format are never read, because a pickle can run code. "
            + "Convert them once in Python, CLIPVisionModel.from_pretrained(\"openai/clip-vit-large-patch14-336\").save_pretrained(folder), and name "
            + "that folder by the option VisionTower.", error.Message);
    }

    [Theory]
    [InlineData("num_attention_heads", "12", "The vision tower's num_attention_heads is 12,")]
    [InlineData("hidden_act", "\"gelu\"", "The vision tower's hidden_act is gelu,")]
    [InlineData("layer_norm_eps", "1e-6", "The vision tower's layer_norm_eps is ")]
    public async Task Another_tower_is_refused(string key, string value, string message)
    {
        using var tower = CheckpointCopy.Of(Path.Combine(s_goldens, TowerFolder), config => config["vision_config"]![key] = JsonNode.Parse(value));
        var error = await Assert.ThrowsAsync<UnsupportedModelException>(() => MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = s_noTower, VisionTower = tower.Path }, cancellationToken: Token));
        Assert.StartsWith(message, error.Message);
    }

    // ---- Full size ----

    [Fact]
    public void Full_size_asks_for_exactly_the_published_tensors()
    {
        var tensors = TensorList.Read(Family);
        var family = FullSize(tensors);

        // The tower's last layer and norm lie behind the output that is read.
        var unread = tensors.Keys.Where(family.Ignores).ToList();
        Assert.Equal(18, unread.Count);
        Assert.All(unread, name => Assert.True(
            name.StartsWith(Tower + "encoder.layers.23.", StringComparison.Ordinal) || name.StartsWith(Tower + "post_layernorm.", StringComparison.Ordinal)));
        Assert.Equal(686, tensors.Count);
        Assert.Equal(
            tensors.Keys.Order(StringComparer.Ordinal), TensorList.Asked(ModelGraphs.Build(family, tensors)).Concat(unread).Order(StringComparer.Ordinal));
        Assert.Equal((24, 1024, 4096, 336, 576), (family.VisionTower.Layers, family.VisionTower.HiddenSize, family.VisionTower.IntermediateSize,
            family.VisionTower.ImageSize, family.VisionTower.Patches));
    }

    [Theory]
    [InlineData("model.layers.31.self_attn.k_proj.weight"), InlineData(Tower + "pre_layrnorm.bias"), InlineData("model.mm_projector.2.bias")]
    [InlineData(Tower + "encoder.layers.22.mlp.fc2.weight"), InlineData("lm_head.weight"), InlineData("model.embed_tokens.weight")]
    public void A_missing_a_surplus_and_a_misshaped_tensor_are_named(string name)
    {
        var family = FullSize(TensorList.Read(Family));

        TensorList.AssertFaultsAreNamed(Family, name, tensors => ModelGraphs.Build(family, tensors));
    }

    [Fact]
    public void One_layer_of_full_size_loads()
    {
        // The vocabulary is no layer's: a small one saves a gigabyte. Of the tower two layers, the second of which is not read.
        const int Vocabulary = 1024;
        using var folder = new TemporaryFolder();
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(TensorList.Configs(Family), "config.json")))!;
        (config["num_hidden_layers"], config["vocab_size"]) = (1, Vocabulary);
        folder.Write("config.json", config.ToJsonString());
        folder.Write("tokenizer.model", File.ReadAllBytes(Path.Combine(s_checkpoint, "tokenizer.model")));
        TensorList.WriteZeros(
            folder.File("model.safetensors"),
            TensorList.Read(Family).Where(tensor => Layer(tensor.Key, "model.layers.") < 1 && Layer(tensor.Key, Tower + "encoder.layers.") < 2)
                .Select(tensor => KeyValuePair.Create(
                    tensor.Key, tensor.Value.Shape[0] == 32_000 ? tensor.Value with { Shape = [Vocabulary, tensor.Value.Shape[1]] } : tensor.Value)));

        CheckpointCopy.AssertLoads(folder.Path);

        static int Layer(string tensor, string prefix) =>
            tensor.StartsWith(prefix, StringComparison.Ordinal) ? int.Parse(tensor[prefix.Length..].Split('.')[0]) : -1;
    }

    static LlavaMed FullSize(Dictionary<string, WeightInfo> tensors) => new(
        JsonFile.Read(Path.Combine(TensorList.Configs(Family), "config.json"), FamilyJson.Default.LlavaMedConfig),
        Tokenizer.Load(Path.Combine(s_checkpoint, "tokenizer.model")),
        ClipTower.Read(name => tensors.GetValueOrDefault(Tower + name)?.Shape));

    // ---- Images ----

    [Fact]
    public void An_image_of_any_size_lies_in_the_middle_of_its_square()
    {
        Gen.Select(Gen.Int[1, 4000], Gen.Int[1, 3000]).Sample((width, height) =>
        {
            var (side, left, top) = SquarePadding.Place(width, height);
            Assert.Equal(Math.Max(width, height), side);
            Assert.InRange(side - width - 2 * left, 0, 1);
            Assert.InRange(side - height - 2 * top, 0, 1);
        }, iter: 200);
    }

    [Fact]
    public void Padding_and_resizing_at_once_gives_the_bits_of_one_after_the_other()
    {
        Gen.Select(Gen.Int[1, 300], Gen.Int[1, 300], Gen.Int[1, 90], Gen.Int).Sample((width, height, side, seed) =>
        {
            var image = Random(width, height, seed);
            var (square, left, top) = SquarePadding.Place(width, height);
            Assert.Equal(
                image.Pad(square, square, left, top, (122, 116, 104)).Resize(side, side, Resample.Bicubic).Pixels,
                SquarePadding.Resize(image, side, (122, 116, 104), Resample.Bicubic).Pixels);
        }, iter: 200);
    }

    [Fact]
    public void A_longer_side_than_can_be_padded_is_refused()
    {
        Assert.Equal(70, SquarePadding.Resize(Random(SquarePadding.LongestSide, 1, 1), 70, (0, 0, 0), Resample.Bicubic).Height);
        var error = Assert.Throws<ImageException>(() => SquarePadding.Resize(Random(SquarePadding.LongestSide + 1, 1, 1), 70, (0, 0, 0), Resample.Bicubic));
        Assert.Equal(
            "The image is 20001 x 1 pixels; the model pads images to a square, and this library takes at most 20000 pixels a side for that. "
            + "Crop the image.", error.Message);
    }

    [Theory]
    [InlineData(1, 1), InlineData(1, 500), InlineData(333, 70), InlineData(70, 70), InlineData(1200, 900)]
    public void An_image_of_any_size_is_as_many_features(int width, int height)
    {
        using var checkpoint = Checkpoint.Open(s_checkpoint);
        var family = new LlavaMed(new ModelSource(checkpoint));

        var inputs = family.Prepare([Random(width, height, 1)], "Is there a fracture?", new CaptionOptions());

        Assert.Equal(family.VisionTower.Patches, Assert.Single(inputs.Vision).Features);
        Assert.Equal(family.VisionTower.Patches, inputs.PromptIds.Count(family.IsPlaceholder));
    }

    // ---- Prompt ----

    [Fact]
    public void A_prompt_is_trimmed_and_its_control_tokens_are_text()
    {
        using var checkpoint = Checkpoint.Open(s_checkpoint);
        var family = new LlavaMed(new ModelSource(checkpoint));
        int[] Ids(string prompt) => family.Prepare([Random(8, 8, 1)], prompt, new CaptionOptions()).PromptIds;

        Assert.Equal(Ids("Is it normal?"), Ids(" <image>Is it normal?\n"));
        Assert.DoesNotContain(2, Ids("a</s>b"));
        Assert.Single(Ids("<s>[INST] <image>x"), 1);
        Assert.Equal([1], Ids("").Where(id => id is 1 or 2));
    }

    [Fact]
    public void A_prompt_is_cut_off_at_the_length_that_config_json_sets()
    {
        using var folder = CheckpointCopy.Of(s_checkpoint, config => config["tokenizer_model_max_length"] = 40);
        using var checkpoint = Checkpoint.Open(folder.Path);
        using var original = Checkpoint.Open(s_checkpoint);
        int[] Ids(Checkpoint from) =>
            new LlavaMed(new ModelSource(from)).Prepare([Random(8, 8, 1)], "Describe the findings in detail, please.", new CaptionOptions()).PromptIds;

        Assert.Equal(Ids(original)[..40], Ids(checkpoint));
    }

    [Fact]
    public void Several_images_are_refused()
    {
        using var checkpoint = Checkpoint.Open(s_checkpoint);
        Assert.Equal(
            "LLaVA-Med takes one image at a time, not 2: ask for each image alone.",
            Assert.Throws<ImageException>(() => new LlavaMed(new ModelSource(checkpoint)).Prepare(
                [Random(8, 8, 1), Random(8, 8, 2)], "", new CaptionOptions())).Message);
    }

    // ---- Precisions ----

    [Theory]
    [InlineData(Precision.Int8), InlineData(Precision.Int4)]
    public async Task Runs_with_quantised_weights(Precision precision)
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = s_checkpoint, Precision = precision }, cancellationToken: Token);
        Assert.NotEmpty((await captioner.CaptionAsync(new CaptionRequest(Gray(40, 30)), Token)).TokenIds);
    }

    // ---- Settings ----

    [Fact]
    public void A_damaged_setting_gives_a_typed_error_or_a_model()
    {
        using var folder = CheckpointCopy.Of(s_checkpoint, _ => { });
        foreach (var file in (string[])["config.json"])
        {
            var original = File.ReadAllBytes(Path.Combine(s_checkpoint, file));
            Fuzz.Run<MedVlmException>([original], damaged =>
            {
                folder.Write(file, damaged);
                using var model = LoadedModel.Load(folder.Path, null, new RuntimeSettings(), Token);
            });
            folder.Write(file, original);
        }
    }

    [Theory]
    [InlineData("hidden_act", "\"gelu\"", "hidden_act is gelu,")]
    [InlineData("rope_scaling", "{\"type\": \"linear\"}", "rope_scaling is set,")]
    [InlineData("mm_projector_type", "\"linear\"", "mm_projector_type is linear,")]
    [InlineData("mm_vision_select_feature", "\"cls_patch\"", "mm_vision_select_feature is cls_patch,")]
    [InlineData("mm_vision_select_layer", "-5", "mm_vision_select_layer is -5 of 4 layers,")]
    [InlineData("image_aspect_ratio", "\"anyres\"", "image_aspect_ratio is anyres,")]
    [InlineData("image_aspect_ratio", null, "image_aspect_ratio is not set,")]
    [InlineData("mm_use_im_start_end", "true", "mm_use_im_start_end is true,")]
    [InlineData("mm_use_im_patch_token", null, "mm_use_im_patch_token is true,")]
    [InlineData("tokenizer_model_max_length", "25", "tokenizer_model_max_length is 25, less than the tokens of an image,")]
    public async Task A_setting_that_changes_the_arithmetic_is_refused(string key, string? value, string message)
    {
        using var folder = CheckpointCopy.Of(s_checkpoint, config => Set(config, key, value));
        var error = await Assert.ThrowsAsync<UnsupportedModelException>(() => MedicalCaptioner.LoadAsync(folder.Path, Token));
        Assert.StartsWith(message, error.Message);
    }

    [Fact]
    public async Task A_sliding_window_hides_what_is_out_of_its_reach()
    {
        // Two prompts that differ in one token, far from the end; three layers of a window of 4 reach back 3 x 3 positions.
        string[] prompts = ["1 Describe the findings in detail, please.", "2 Describe the findings in detail, please."];

        async Task<List<float[]>[]> Logits(int? window)
        {
            using var folder = CheckpointCopy.Of(s_checkpoint, config => config["sliding_window"] = window);
            await using var captioner = await MedicalCaptioner.LoadAsync(folder.Path, Token);
            var logits = new List<List<float[]>>();
            foreach (var prompt in prompts)
            {
                var trace = new GenerationTrace();
                var options = new CaptionOptions { Prompt = prompt, MaxNewTokens = 3 };
                await captioner.StreamAsync(new CaptionRequest(Gray(40, 30)) { Options = options }, trace, Token).LastAsync(Token);
                logits.Add(trace.StepLogits);
            }
            return [.. logits];
        }

        var none = await Logits(null);
        Assert.NotEqual(none[0], none[1]);
        var narrow = await Logits(4);
        Assert.Equal(narrow[0], narrow[1]);
        Assert.NotEqual(none[0], narrow[0]);
        Assert.Equal(none, await Logits(4096));
    }

    static void Set(JsonObject config, string key, string? value)
    {
        if (value is null)
            config.Remove(key);
        else
            config[key] = JsonNode.Parse(value);
    }

    static MedicalImage Gray(int width, int height) =>
        MedicalImage.FromPixels(Enumerable.Range(0, width * height).Select(i => (byte)(i * 7)).ToArray(), width, height, PixelFormat.Gray8);

    static RgbImage Random(int width, int height, int seed)
    {
        var pixels = new byte[width * height * 3];
        new Random(seed).NextBytes(pixels);
        return new RgbImage(width, height, pixels);
    }
}
