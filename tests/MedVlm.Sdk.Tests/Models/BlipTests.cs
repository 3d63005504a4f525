using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>What is special about BLIP: its full size, its saved layouts, its prompt, its end.</summary>
public sealed class BlipTests
{
    const string HeadWeight = "text_decoder.cls.predictions.decoder.weight", HeadBias = "text_decoder.cls.predictions.decoder.bias",
        SpareBias = "text_decoder.cls.predictions.bias", PositionIds = "text_decoder.bert.embeddings.position_ids",
        WordEmbeddings = "text_decoder.bert.embeddings.word_embeddings.weight";

    static CancellationToken Token => TestContext.Current.CancellationToken;

    static string Small => Path.Combine(TestFolders.Repository, "tests", "goldens", "blip", "checkpoint");

    // ---- Full size ----

    [Theory]
    [InlineData("config.json"), InlineData("config.resaved-by-4.49.json")]
    public void Full_size_asks_for_exactly_the_published_tensors(string config)
    {
        var tensors = TensorList.Read("blip");
        using var folder = FullSize(config);

        var graphs = Build(folder, tensors);

        Assert.Equal(
            tensors.Keys.Except([PositionIds, SpareBias]).Order(StringComparer.Ordinal), TensorList.Asked(graphs).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("text_decoder.bert.encoder.layer.11.crossattention.self.key.bias")]
    [InlineData("vision_model.embeddings.class_embedding")]
    [InlineData("text_decoder.bert.embeddings.position_embeddings.weight")]
    public void A_missing_a_surplus_and_a_misshaped_tensor_are_named(string name)
    {
        using var folder = FullSize("config.json");

        TensorList.AssertFaultsAreNamed("blip", name, tensors => Build(folder, tensors));
    }

    [Fact]
    public async Task One_layer_of_full_size_loads_and_runs()
    {
        using var folder = FullSize("config.json", config =>
        {
            config["vision_config"]!["num_hidden_layers"] = 1;
            config["text_config"]!["num_hidden_layers"] = 1;
        });
        TensorList.WriteZeros(
            folder.File("model.safetensors"),
            TensorList.Read("blip").Where(tensor => tensor.Key != PositionIds && !IsLaterLayer(tensor.Key)));

        await using var captioner = await MedicalCaptioner.LoadAsync(folder.Path, Token);
        var caption = await captioner.CaptionAsync(SomeImage(), new CaptionOptions { Prompt = "a picture of", MaxNewTokens = 3 }, Token);

        Assert.Equal([0, 0, 0], caption.TokenIds);   // of zeros all logits are equal
    }

    [Fact]
    public void The_large_models_sizes_build_too()
    {
        // Salesforce/blip-image-captioning-large: ViT-L, the same decoder.
        using var folder = FullSize("config.json", config =>
        {
            (config["vision_config"]!["hidden_size"], config["vision_config"]!["intermediate_size"]) = (1024, 4096);
            (config["vision_config"]!["num_hidden_layers"], config["vision_config"]!["num_attention_heads"]) = (24, 16);
        });
        var tensors = TensorList.Read("blip").ToDictionary(tensor => tensor.Key, tensor => Large(tensor.Key, tensor.Value));
        foreach (var (name, info) in tensors.Where(tensor => tensor.Key.Contains("encoder.layers.0.")).ToList())
            for (int layer = 12; layer < 24; layer++)
                tensors[name.Replace(".0.", $".{layer}.")] = info;

        var graphs = Build(folder, tensors);

        Assert.Equal(tensors.Count - 2, TensorList.Asked(graphs).Count());

        static WeightInfo Large(string name, WeightInfo info)
        {
            bool vision = name.StartsWith("vision_model", StringComparison.Ordinal);
            bool fromVision = name.Contains("crossattention.self.key.weight") || name.Contains("crossattention.self.value.weight");
            return info with
            {
                Shape = [.. info.Shape.Select((size, axis) => !vision && !(fromVision && axis == 1) ? size
                    : size switch { 768 when !name.Contains("patch_embedding") || axis == 0 => 1024, 2304 => 3072, 3072 => 4096, _ => size })],
            };
        }
    }

    [Fact]
    public void A_config_that_does_not_say_has_the_reference_classs_sizes()
    {
        // 8 heads: the default of the class, which no published model has.
        using var folder = FullSize("config.json", config =>
        {
            config.Remove("vision_config");
            config.Remove("text_config");
        });
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(new DecoderShape(12, 30524, 768, KeyValueHeads: 8, HeadSize: 96, CrossLength: 577), new Blip(checkpoint).Shape);
    }

    static bool IsLaterLayer(string tensor) =>
        tensor.Split('.') is var parts && Array.FindIndex(parts, part => part is "layer" or "layers") is >= 0 and var at && parts[at + 1] != "0";

    /// <summary>Config of full size beside the small tokenizer, with no weights to speak of.</summary>
    static TemporaryFolder FullSize(string config, Action<JsonObject>? change = null)
    {
        var folder = new TemporaryFolder();
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(TensorList.Configs("blip"), config)))!.AsObject();
        change?.Invoke(json);
        folder.Write("config.json", json.ToJsonString());
        folder.Write("preprocessor_config.json", File.ReadAllBytes(Path.Combine(TensorList.Configs("blip"), "preprocessor_config.json")));
        folder.Write("vocab.txt", File.ReadAllBytes(Path.Combine(Small, "vocab.txt")));
        folder.Write("model.safetensors", SafetensorsBytes.OneTensor("none", "F32", [1], 0, 0, 0, 0));
        return folder;
    }

    static ModelGraphs Build(TemporaryFolder folder, Dictionary<string, WeightInfo> tensors)
    {
        using var checkpoint = Checkpoint.Open(folder.Path);
        return ModelGraphs.Build(new Blip(checkpoint), tensors);
    }

    // ---- Processor ----

    [Fact]
    public void Any_image_becomes_one_square_of_the_models_size()
    {
        using var checkpoint = Checkpoint.Open(Small);
        var blip = new Blip(checkpoint);
        int side = JsonNode.Parse(File.ReadAllText(Path.Combine(Small, "config.json")))!["vision_config"]!["image_size"]!.GetValue<int>();
        int features = blip.Shape.CrossLength;

        // Aspect ratio and size do not matter, so most are small: the pixels of the large ones cost the time.
        Gen.Select(Gen.Frequency((11, Gen.Int[1, 300]), (1, Gen.Int[1, 4000])), Gen.Frequency((11, Gen.Int[1, 300]), (1, Gen.Int[1, 3000])))
            .Sample(size => Check(size.Item1, size.Item2), iter: 200, threads: 2);
        foreach (var (width, height) in ((int, int)[])[(1, 1), (4000, 1), (1, 3000), (4000, 3000), (side, side)])
            Check(width, height);

        void Check(int width, int height)
        {
            var run = Assert.Single(blip.Prepare([new RgbImage(width, height, new byte[3 * width * height])], "", new CaptionOptions()).Vision);
            Assert.Equal(features, run.Features);
            Assert.Equal([1, 3, side, side], run.Inputs["pixel_values"].Shape);
            Assert.Equal(3 * side * side, run.Inputs["pixel_values"].Data.Length);
        }
    }

    [Fact]
    public async Task Several_images_in_one_request_are_refused()
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(Small, Token);
        var error = await Assert.ThrowsAsync<ImageException>(
            () => captioner.CaptionAsync(new CaptionRequest([SomeImage(), SomeImage()]), Token));

        Assert.Equal(
            "BLIP captions one image, but the request has 2. Make a request for each image, or take a family that reads several (docs/families).",
            error.Message);
    }

    // ---- Prompt and positions ----

    [Fact]
    public async Task Without_a_prompt_the_caption_is_unconditional()
    {
        var golden = Cases().First(golden => golden.Prompt.Length == 0);
        await using var captioner = await MedicalCaptioner.LoadAsync(golden.Checkpoint, Token);

        var caption = await captioner.CaptionAsync(
            MedicalImage.FromFile(golden.ImagePaths.Single()), new CaptionOptions { MaxNewTokens = golden.MaxNewTokens }, Token);

        Assert.Equal(golden.GeneratedIds, caption.TokenIds);
        Assert.Equal(1, caption.PromptTokens);
    }

    [Fact]
    public void A_special_token_that_a_user_writes_is_text()
    {
        using var checkpoint = Checkpoint.Open(Small);
        var blip = new Blip(checkpoint);
        Assert.DoesNotContain(blip.Prompt("a [SEP] b [CLS][MASK]"), id => blip.Tokenizer.IsSpecial(id) && blip.Tokenizer.TokenId("[UNK]") != id);
    }

    [Fact]
    public async Task A_caption_ends_at_the_last_position_that_the_model_knows()
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(Small, Token);
        int positions = JsonNode.Parse(File.ReadAllText(Path.Combine(Small, "config.json")))!["text_config"]!["max_position_embeddings"]!.GetValue<int>();
        string Words(int count) => string.Join(' ', Enumerable.Repeat("a", count));
        Task<Caption> Write(int words) => captioner.CaptionAsync(
            SomeImage(), new CaptionOptions { Prompt = Words(words), MaxNewTokens = 500 }, Token);

        // [DEC] is the first; the caption's last token needs no position.
        var caption = await Write(positions - 1);
        Assert.Equal((positions, 1, FinishReason.MaxNewTokens), (caption.PromptTokens, caption.TokenIds.Count, caption.FinishReason));
        Assert.InRange((await Write(positions - 5)).TokenIds.Count, 1, 5);

        var error = await Assert.ThrowsAsync<MedVlmException>(() => Write(positions));
        Assert.Equal(
            $"The prompt has {positions + 1} tokens, but the model knows {positions} positions (max_position_embeddings). Shorten it.",
            error.Message);
    }

    [Theory]
    [InlineData(1), InlineData(3)]
    public async Task A_caption_sees_its_own_image_whatever_is_beside_it(int slots)
    {
        var cases = Cases();
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = cases[0].Checkpoint, Slots = slots }, cancellationToken: Token);

        var order = Enumerable.Range(0, 4).SelectMany(_ => cases).ToArray();
        new Random(slots).Shuffle(order);
        await foreach (var result in captioner.CaptionBatchAsync(order.Select(golden => golden.ToRequest()), Token))
            Assert.Equal(cases.Single(golden => golden.Name == result.Request.Id).GeneratedIds, result.Caption!.TokenIds);
    }

    [Fact]
    public async Task Heads_may_have_any_size()
    {
        // Of 4 elements each: what the KV cache fills up to 8.
        using var folder = Copy(Cases()[0].Checkpoint, (_, data) => data);
        var config = JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!;
        foreach (var part in new[] { config["text_config"]!, config["vision_config"]! })
            part["num_attention_heads"] = part["hidden_size"]!.GetValue<int>() / 4;
        folder.Write("config.json", config.ToJsonString());

        async Task<Dictionary<string, string>> Texts(int slots)
        {
            await using var captioner = await MedicalCaptioner.LoadAsync(
                new MedicalCaptionerOptions { Model = folder.Path, Slots = slots }, cancellationToken: Token);
            return await captioner.CaptionBatchAsync(Cases().Select(golden => golden.ToRequest()), Token)
                .ToDictionaryAsync(result => result.Request.Id!, result => string.Join(' ', result.Caption!.TokenIds), cancellationToken: Token);
        }
        Assert.Equal(await Texts(1), await Texts(3));
    }

    // ---- Saved layouts ----

    [Theory]
    [InlineData(true), InlineData(false)]
    public async Task Saved_again_by_transformers_4_49_it_says_the_same(bool withTokenizerJson)
    {
        using var folder = Copy(Cases()[0].Checkpoint, (name, data) => name is HeadBias or PositionIds ? null : data);
        var config = JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!.AsObject();
        folder.Write("config.json", new JsonObject
        {
            ["model_type"] = "blip",
            ["text_config"] = OnlyChanged(config["text_config"]!, s_textDefaults),
            ["vision_config"] = OnlyChanged(config["vision_config"]!, s_visionDefaults),
        }.ToJsonString());
        folder.Write("generation_config.json", """{ "bos_token_id": 30522, "eos_token_id": 2, "pad_token_id": 0 }""");
        if (!withTokenizerJson)
            File.Delete(folder.File("tokenizer.json"));

        await SaysWhatTheReferenceSays(folder.Path);
    }

    [Fact]
    public async Task Saved_by_transformers_5_without_a_head_its_head_is_the_embedding()
    {
        byte[]? embedding = null;
        using var _ = Copy(Cases()[0].Checkpoint, (name, data) => name == WordEmbeddings ? embedding = data : data);
        using var tied = Copy(Cases()[0].Checkpoint, (name, data) => name is HeadWeight or HeadBias or PositionIds ? null : data);
        using var both = Copy(Cases()[0].Checkpoint, (name, data) => name == HeadWeight ? embedding : data);

        foreach (var golden in Cases())
        {
            var (expected, actual) = (await Trace(both.Path, golden), await Trace(tied.Path, golden));
            Assert.Equal(expected.StepLogits, actual.StepLogits);
            Assert.NotEqual(golden.Tensor("prompt_logits"), actual.StepLogits[0]);   // the golden's own head differs
        }
    }

    [Fact]
    public async Task A_head_bias_is_read_where_it_is_stored()
    {
        // Where both are there, the decoder's counts: the other may be anything.
        using var spare = Copy(Cases()[0].Checkpoint, (name, data) => name == SpareBias ? Changed(data) : data);
        await SaysWhatTheReferenceSays(spare.Path);

        using var counts = Copy(Cases()[0].Checkpoint, (name, data) => name == HeadBias ? Changed(data) : data);
        Assert.NotEqual(Cases()[0].Tensor("prompt_logits"), (await Trace(counts.Path, Cases()[0])).StepLogits[0]);

        static byte[] Changed(byte[] data)
        {
            var copy = (byte[])data.Clone();
            BitConverter.TryWriteBytes(copy.AsSpan(12), 50f);
            return copy;
        }
    }

    [Theory]
    [InlineData("text_config", "hidden_act", "\"relu\"", "text_config.hidden_act is relu")]
    [InlineData("vision_config", "hidden_act", "\"gelu_new\"", "vision_config.hidden_act is gelu_new")]
    [InlineData("text_config", "position_embedding_type", "\"relative_key\"", "text_config.position_embedding_type is relative_key")]
    [InlineData("text_config", "is_decoder", "false", "text_config.is_decoder is false")]
    [InlineData("text_config", "repetition_penalty", "1.5", "text_config.repetition_penalty is 1.5")]
    [InlineData("text_config", "min_length", "5", "text_config.min_length is 5")]
    [InlineData("text_config", "no_repeat_ngram_size", "3", "text_config.no_repeat_ngram_size is 3")]
    [InlineData("text_config", "bad_words_ids", "[[5]]", "text_config.bad_words_ids is set")]
    [InlineData("vision_config", "num_channels", "1", "vision_config.num_channels is 1")]
    [InlineData("vision_config", "image_size", "128", "preprocessor_config.json: height is")]
    [InlineData("text_config", "sep_token_id", "30524", "config.json: sep_token_id is 30524, but the vocabulary has")]
    [InlineData("text_config", "num_attention_heads", "7", "is no multiple of num_attention_heads 7")]
    public void A_setting_that_would_change_the_arithmetic_is_refused(string part, string key, string value, string message)
    {
        using var folder = Copy(Small, (_, data) => data);
        var config = JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!;
        config[part]![key] = JsonNode.Parse(value);
        folder.Write("config.json", config.ToJsonString());
        using var checkpoint = Checkpoint.Open(folder.Path);

        Assert.Contains(message, Assert.ThrowsAny<MedVlmException>(() => new Blip(checkpoint)).Message);
    }

    static readonly Dictionary<string, string> s_textDefaults = new()
    {
        ["vocab_size"] = "30524", ["hidden_size"] = "768", ["intermediate_size"] = "3072", ["num_hidden_layers"] = "12",
        ["num_attention_heads"] = "8", ["max_position_embeddings"] = "512", ["bos_token_id"] = "30522", ["sep_token_id"] = "102",
    };

    static readonly Dictionary<string, string> s_visionDefaults = new()
    {
        ["hidden_size"] = "768", ["intermediate_size"] = "3072", ["num_hidden_layers"] = "12", ["num_attention_heads"] = "12",
        ["image_size"] = "384", ["patch_size"] = "16",
    };

    static JsonObject OnlyChanged(JsonNode config, Dictionary<string, string> defaults) =>
        new(defaults.Where(setting => config[setting.Key]!.ToJsonString() != setting.Value)
            .Select(setting => KeyValuePair.Create(setting.Key, (JsonNode?)config[setting.Key]!.DeepClone())));

    static List<GoldenCase> Cases()
    {
        Assert.SkipWhen(
            TestFolders.Goldens != Path.Combine(TestFolders.Repository, "tests", "goldens"), "These tests take the checkpoint of our own goldens apart.");
        return [.. GoldenCase.Names().Where(name => name.StartsWith("blip/", StringComparison.Ordinal)).Select(GoldenCase.Load)];
    }

    static async Task SaysWhatTheReferenceSays(string checkpoint)
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(checkpoint, Token);
        foreach (var golden in Cases())
        {
            var text = new System.Text.StringBuilder();
            Caption? caption = null;
            await foreach (var update in captioner.CaptionStreamingAsync(golden.ToRequest(), Token))
            {
                text.Append(update.Text);
                caption = update.Caption;
            }
            Assert.Equal(golden.GeneratedIds, caption!.TokenIds);
            Assert.Equal(golden.Text.Trim(), caption.Text);
            Assert.Equal(caption.Text, text.ToString());
        }
    }

    static async Task<GenerationTrace> Trace(string checkpoint, GoldenCase golden)
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(checkpoint, Token);
        var trace = new GenerationTrace();
        await foreach (var _ in captioner.StreamAsync(golden.ToRequest(), trace, Token)) { }
        return trace;
    }

    /// <summary>The checkpoint with other bytes for some tensors, or without them (null).</summary>
    static TemporaryFolder Copy(string checkpoint, Func<string, byte[], byte[]?> change)
    {
        var folder = new TemporaryFolder();
        foreach (var path in Directory.GetFiles(checkpoint))
            folder.Write(Path.GetFileName(path), File.ReadAllBytes(path));

        var file = File.ReadAllBytes(folder.File("model.safetensors"));
        int start = 8 + (int)BitConverter.ToInt64(file);
        var (header, data) = (new JsonObject(), new MemoryStream());
        foreach (var (name, entry) in JsonNode.Parse(file.AsSpan(8..start))!.AsObject().Where(entry => entry.Key != "__metadata__"))
        {
            int[] offsets = entry!["data_offsets"].Deserialize<int[]>()!;
            if (change(name, file[(start + offsets[0])..(start + offsets[1])]) is not { } bytes)
                continue;
            entry["data_offsets"] = new JsonArray(data.Length, data.Length + bytes.Length);
            header[name] = entry.DeepClone();
            data.Write(bytes);
        }
        folder.Write("model.safetensors", SafetensorsBytes.Of(header.ToJsonString(), data.ToArray()));
        return folder;
    }

    static MedicalImage SomeImage() => MedicalImage.FromFile(Path.Combine(TestFolders.Repository, "tests", "goldens", "images", "tiny_20x28.png"));
}
