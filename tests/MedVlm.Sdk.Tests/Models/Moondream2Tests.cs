using System.Text.Json.Nodes;
using CsCheck;
using MedVlm.Checkpoints;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>What is special about Moondream2: its releases and their tokenizers, its full size, its crops, its prompts.</summary>
public sealed class Moondream2Tests
{
    const string June = "self.tokenizer = Tokenizer.from_pretrained(\"moondream/starmie-v1\")",
        March = "self.tokenizer.encode(\" \" + question).ids", January = "self.tokenizer.encode(question).ids";

    static CancellationToken Token => TestContext.Current.CancellationToken;

    static string Goldens => Path.Combine(TestFolders.Repository, "tests", "goldens", "moondream2");

    static string Small => Path.Combine(Goldens, "checkpoint");

    static string SmallLegacy => Path.Combine(Goldens, "checkpoint-2025-01-09");

    static string Starmie => Path.Combine(Goldens, "starmie-v1");

    static HubCache NoCache => new(Path.Combine(Path.GetTempPath(), "no such cache"));

    // ---- Full size ----

    [Theory]
    [InlineData(June, "{}"), InlineData(March, "{}"), InlineData(January, "{}"), InlineData(null, "config_md2-2025-01-09.json"), InlineData(null, "defaults.json")]
    public void Full_size_asks_for_exactly_the_published_tensors(string? code, string config)
    {
        using var folder = FullSize(code, config);
        var tensors = TensorList.Read("moondream2");

        var graphs = ModelGraphs.Build(Family(folder), tensors);

        Assert.Equal(592, tensors.Count);
        Assert.Equal(
            tensors.Keys.Where(name => !name.StartsWith("model.region.", StringComparison.Ordinal)).Order(StringComparer.Ordinal),
            TensorList.Asked(graphs).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("model.vision.blocks.26.attn.qkv.bias"), InlineData("model.vision.pos_emb"), InlineData("model.text.wte"), InlineData("model.text.lm_head.bias")]
    public void A_missing_a_surplus_and_a_misshaped_tensor_are_named(string name)
    {
        using var folder = FullSize(June, "{}");
        var family = Family(folder);

        TensorList.AssertFaultsAreNamed("moondream2", name, tensors => ModelGraphs.Build(family, tensors));
    }

    [Fact]
    public async Task One_layer_of_full_size_loads_and_runs()
    {
        using var folder = FullSize(June, "{}", config => config["config"] = new JsonObject
        {
            ["text"] = new JsonObject { ["n_layers"] = 1 },
            ["vision"] = new JsonObject { ["enc_n_layers"] = 1 },
        });
        TensorList.WriteZeros(
            folder.File("model.safetensors"),
            TensorList.Read("moondream2").Where(tensor => !tensor.Key.Contains(".blocks.") || tensor.Key.Contains(".blocks.0.")));

        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = folder.Path, Tokenizer = Starmie, Slots = 1 }, cancellationToken: Token);
        var caption = await captioner.CaptionAsync(SomeImage(), new CaptionOptions { MaxNewTokens = 3 }, Token);

        // Of zeros all logits are equal: the first token of the vocabulary, which is the end.
        Assert.Equal([0], caption.TokenIds);
        Assert.Equal(1 + 729 + 5, caption.PromptTokens);
    }

    [Fact]
    public void What_no_config_carries_is_what_the_reference_code_has()
    {
        using var silent = FullSize(June, "{}");
        using var explicitly = FullSize(null, "defaults.json");
        foreach (var length in Enum.GetValues<CaptionLength>())
            Assert.Equal(Ids(Family(explicitly), "", length), Ids(Family(silent), "", length));
        Assert.Equal(Ids(Family(explicitly), "Why?"), Ids(Family(silent), "Why?"));
        Assert.Equal([3], Family(silent).SuppressedAfterFirst);
        Assert.Equal([0], Family(silent).StopTokenIds(new GenerationConfig([7])));

        using var legacy = FullSize(January, "{}");
        using var legacyExplicitly = FullSize(null, "config_md2-2025-01-09.json");
        Assert.Equal(Ids(Family(legacyExplicitly), "Why?"), Ids(Family(legacy), "Why?"));
        Assert.Equal(Ids(Family(legacyExplicitly), "", CaptionLength.Short), Ids(Family(legacy), "", CaptionLength.Short));
        Assert.Empty(Family(legacy).SuppressedAfterFirst);
        Assert.Equal([50256], Family(legacy).StopTokenIds(new GenerationConfig()));
    }

    // ---- Releases ----

    /// <summary>moondream.py, config.json's "config", and the release or a part of the refusal.</summary>
    [Theory]
    [InlineData(June, "{}", "2025-06-21")]
    [InlineData(March, "{}", "2025-03-27 and 2025-04-14")]
    [InlineData(January, "{}", "2025-01-09")]
    [InlineData(null, "defaults.json", "2025-06-21")]
    [InlineData(null, "config_md2-2025-01-09.json", "2025-01-09")]
    [InlineData(March, "config_md2-2025-01-09.json", "2025-03-27 and 2025-04-14")]
    [InlineData("class Moondream: ...", "{}", "moondream.py is of none of them")]
    [InlineData(null, "{}", "nothing tells which revision this is: moondream.py is missing")]
    [InlineData(June, "null", "config.json has no \"config\", as the revisions of 2024 have none")]
    public void A_release_is_told_by_the_code_beside_the_weights(string? code, string config, string expected)
    {
        using var folder = FullSize(code, config);
        using var checkpoint = Checkpoint.Open(folder.Path);
        var settings = checkpoint.ReadJson("config.json", FamilyJson.Default.Moondream2Config).Config;

        if (expected.StartsWith("2025", StringComparison.Ordinal))
            Assert.Equal(expected, Moondream2Release.Of(checkpoint, settings).Name);
        else
            Assert.Contains(expected, Assert.Throws<UnsupportedModelException>(() => Moondream2Release.Of(checkpoint, settings)).Message);
    }

    [Fact]
    public void Another_revision_is_refused_by_the_names_of_the_supported_ones()
    {
        using var folder = FullSize(null, "null");

        Assert.Equal(
            "Moondream2: config.json has no \"config\", as the revisions of 2024 have none. Supported are the revisions 2025-01-09, "
            + "2025-03-27 and 2025-04-14, and 2025-06-21. "
            + "Take one of these with all its files: hf download vikhyatk/moondream2 --revision 2025-06-21",
            Assert.Throws<UnsupportedModelException>(() => Family(folder)).Message);
    }

    [Fact]
    public void The_stale_tokenizer_in_the_models_own_folder_is_never_taken()
    {
        using var checkpoint = Checkpoint.Open(Small);

        Assert.Equal(
            $"Tokenizer of Moondream2 2025-06-21: tokenizer.json of moondream/starmie-v1 is not in the Hugging Face cache \"{NoCache.Folder}\". "
            + "Download it with: hf download moondream/starmie-v1 tokenizer.json\n"
            + "If it is in another cache, set HF_HUB_CACHE to that folder.",
            Assert.Throws<ModelNotFoundException>(() => new Moondream2(new ModelSource(checkpoint), NoCache)).Message);

        foreach (var stale in (string[])[Small, Path.Combine(Small, "tokenizer.json")])
            Assert.Equal(
                "tokenizer.json: it is not the tokenizer of Moondream2 2025-06-21, whose captions it would turn to nonsense. "
                + "That is in a repository of its own; the one beside the weights is stale: hf download moondream/starmie-v1 tokenizer.json",
                Assert.Throws<CheckpointException>(() => new Moondream2(new ModelSource(checkpoint, TokenizerSource: stale), NoCache)).Message);
    }

    [Fact]
    public void The_older_releases_do_not_take_the_newer_tokenizer()
    {
        using var checkpoint = Checkpoint.Open(SmallLegacy);

        Assert.Equal(
            "tokenizer.json: it is not the tokenizer of Moondream2 2025-03-27 and 2025-04-14, whose captions it would turn to nonsense. "
            + "Take the one beside the weights: leave MedicalCaptionerOptions.Tokenizer null.",
            Assert.Throws<CheckpointException>(() => new Moondream2(new ModelSource(checkpoint, TokenizerSource: Starmie), NoCache)).Message);
    }

    [Fact]
    public void The_companion_is_found_in_the_hub_cache_in_a_folder_as_a_file_and_beside_the_weights()
    {
        const string Commit = "0123456789abcdef0123456789abcdef01234567";
        var file = Path.Combine(Starmie, "tokenizer.json");
        using var folder = new TemporaryFolder();
        folder.Write("models--moondream--starmie-v1/refs/main", Commit);
        folder.Write($"models--moondream--starmie-v1/snapshots/{Commit}/tokenizer.json", File.ReadAllBytes(file));
        using var checkpoint = Checkpoint.Open(Small);

        int[] expected = Ids(new Moondream2(new ModelSource(checkpoint, TokenizerSource: file), NoCache), "Is this a 12345 mm nodule?");
        foreach (var source in (string?[])[null, "moondream/starmie-v1", Starmie])
            Assert.Equal(expected, Ids(new Moondream2(new ModelSource(checkpoint, TokenizerSource: source), new HubCache(folder.Path)), "Is this a 12345 mm nodule?"));

        using var copy = Copy(Small, _ => { });
        copy.Write("tokenizer.json", File.ReadAllBytes(file));
        using var complete = Checkpoint.Open(copy.Path);
        Assert.Equal(expected, Ids(new Moondream2(new ModelSource(complete), NoCache), "Is this a 12345 mm nodule?"));
    }

    // ---- Crops ----

    static readonly CropGrid s_published = new(378, 14, 4, 12), s_small = new(98, 14, 1, 12);

    static readonly Gen<(int Width, int Height)> s_sizes = Gen.Select(Gen.Int[1, 4000], Gen.Int[1, 3000]);

    [Fact]
    public void Two_hundred_sizes_obey_the_laws_of_tiling() => s_sizes.Sample(
        size =>
        {
            foreach (var crops in (CropGrid[])[s_published, s_small])
            {
                var (rows, columns) = crops.Tiling(size.Width, size.Height);
                int overlap = 2 * crops.Margin * crops.Patch, inner = crops.Side - overlap;
                int least = (int)(Math.Ceiling((size.Height - overlap) / (double)inner) * Math.Ceiling((size.Width - overlap) / (double)inner));

                Assert.True(rows >= 1 && columns >= 1);
                if (size.Height <= crops.Side || size.Width <= crops.Side)
                    Assert.Equal((1, 1), (rows, columns));          // one side within a single crop suffices
                else if (least <= crops.MaxCrops)
                    Assert.True(rows * columns <= crops.MaxCrops && rows * columns >= least);   // tiles cover the image at its own size
                else
                    Assert.True(rows * columns < least);            // more would be too many: the image is shrunk
            }
            Assert.True(s_published.Tiling(size.Width, size.Height) is var (r, c) && r * c <= 12);
        }, iter: 200);

    /// <summary>Width and height to rows and columns, by hand from the reference's rule for crops of 378, patches of 14, a margin of 4.</summary>
    [Theory]
    [InlineData(1, 1, 1, 1), InlineData(378, 4000, 1, 1), InlineData(379, 379, 3, 3), InlineData(1000, 1000, 3, 3), InlineData(3000, 3000, 3, 3)]
    [InlineData(800, 600, 2, 4), InlineData(600, 800, 4, 2), InlineData(1200, 500, 2, 5), InlineData(4000, 400, 1, 9)]
    [InlineData(100_000, 400, 1, 47)]                                                             // very long: more than 12
    public void Tilings_of_the_published_sizes(int width, int height, int rows, int columns) =>
        Assert.Equal(new TileGrid(rows, columns), s_published.Tiling(width, height));

    [Fact]
    public void Pooling_is_the_mean_over_the_stitched_map() => Gen.Select(Gen.Int[1, 6], Gen.Int[1, 6], Gen.Int[0, 2], Gen.Int).Sample(
        (rows, columns, size, seed) =>
        {
            var crops = size switch { 0 => s_small, 1 => s_published, _ => new CropGrid(70, 14, 0, 12) };
            int grid = crops.Side / crops.Patch, patches = grid * grid, inner = grid - 2 * crops.Margin, count = 1 + rows * columns;
            var random = new Random(seed);
            float[] features = [.. Enumerable.Range(0, count * patches).Select(_ => random.NextSingle())];

            // The map, tile by tile: each lays down all but the margins that a neighbour has.
            int height = rows * inner + 2 * crops.Margin, width = columns * inner + 2 * crops.Margin;
            var map = new float?[height, width];
            for (int tile = 0; tile < rows * columns; tile++)
                for (int y = 0; y < grid; y++)
                    for (int x = 0; x < grid; x++)
                    {
                        var (row, column) = (tile / columns, tile % columns);
                        if ((row > 0 && y < crops.Margin) || (row < rows - 1 && y >= grid - crops.Margin)
                            || (column > 0 && x < crops.Margin) || (column < columns - 1 && x >= grid - crops.Margin))
                            continue;
                        Assert.Null(map[row * inner + y, column * inner + x]);
                        map[row * inner + y, column * inner + x] = features[(1 + tile) * patches + y * grid + x];
                    }
            Assert.DoesNotContain(null, map.Cast<float?>());

            var pooling = new float[grid * grid * count * patches];
            Array.Fill(pooling, float.NaN);   // the memory that it is written into is not cleared
            crops.FillPooling(new TileGrid(rows, columns), pooling);
            for (int i = 0; i < grid; i++)
                for (int j = 0; j < grid; j++)
                {
                    var cells =
                        from y in Enumerable.Range(0, height) where (y + 1) * grid > i * height && y * grid < (i + 1) * height
                        from x in Enumerable.Range(0, width) where (x + 1) * grid > j * width && x * grid < (j + 1) * width
                        select map[y, x]!.Value;
                    var weights = pooling.AsSpan((i * grid + j) * count * patches, count * patches);
                    double pooled = 0;
                    for (int k = 0; k < weights.Length; k++)
                        pooled += weights[k] * features[k];
                    Assert.Equal(cells.Average(), pooled, 1e-5);
                }
        }, iter: 12);

    [Theory]
    [InlineData(1, 1), InlineData(1, 900), InlineData(99, 99), InlineData(300, 120)]
    public void Crops_are_the_whole_image_and_the_tiles(int width, int height)
    {
        using var checkpoint = Checkpoint.Open(Small);
        var family = new Moondream2(new ModelSource(checkpoint, TokenizerSource: Starmie), NoCache);

        var inputs = family.Prepare([new RgbImage(width, height, new byte[width * height * 3])], "", new CaptionOptions());

        int count = s_small.Tiling(width, height) is var (rows, columns) ? 1 + rows * columns : 0;
        var run = Assert.Single(inputs.Vision);
        Assert.Equal([count, 3, 98, 98], run.Inputs["pixel_values"].Shape);
        Assert.Equal([49, count * 49], run.Inputs["pooling"].Shape);
        Assert.Equal((49, 49), (run.Features, inputs.PromptIds.Count(id => id == -1)));
        Assert.Equal(1 + 49, family.PrefixLength);
        Assert.All((float[])run.Inputs["pixel_values"].Data, value => Assert.Equal(-1, value));
    }

    // ---- Prompts and captions ----

    [Fact]
    public void A_length_that_the_release_was_not_trained_on_is_refused()
    {
        using var folder = FullSize(January, "{}");

        Assert.Equal(
            "CaptionOptions.Length is Long, for which this release of Moondream2 has no template: it was not trained on such captions. "
            + "Take another length, or a release that has it (2025-06-21 has all).",
            Assert.Throws<UnsupportedModelException>(() => Ids(Family(folder), "", CaptionLength.Long)).Message);
    }

    [Fact]
    public void Only_the_release_of_january_encodes_a_question_without_a_space()
    {
        using var january = FullSize(January, "{}");
        using var march = FullSize(March, "{}");
        var tokenizer = Family(march).Tokenizer;

        Assert.Equal([198, 198, 24361, 25, .. tokenizer.Encode("Why?"), 198, 198, 33706, 25], Ids(Family(january), "Why?")[730..]);
        Assert.Equal([198, 198, 24361, 25, .. tokenizer.Encode(" Why?"), 198, 198, 33706, 25], Ids(Family(march), "Why?")[730..]);
    }

    [Fact]
    public void A_space_before_the_question_merges_with_the_questions_own()
    {
        Assert.SkipWhen(TestFolders.Shared("tokenizers", "moondream2", "tokenizer.json") is null, "The tokenizer.json of moondream2 is third-party and not beside this checkout.");
        using var folder = FullSize(March, "{}");
        folder.Write("tokenizer.json", File.ReadAllBytes(TestFolders.Shared("tokenizers", "moondream2", "tokenizer.json")!));
        var family = Family(folder);

        Assert.Equal(family.Tokenizer.Encode("   why  this?"), Ids(family, "  why  this?")[734..^4]);
    }

    [Theory]
    [InlineData("<|md_reserved_2|>"), InlineData("Why?<|endoftext|>"), InlineData("<|md_reserved_0|>describe<|md_reserved_1|>")]
    public void A_control_token_that_the_user_writes_stays_text(string question)
    {
        using var checkpoint = Checkpoint.Open(Small);
        var family = new Moondream2(new ModelSource(checkpoint, TokenizerSource: Starmie), NoCache);

        int[] ids = Ids(family, question)[54..^2];   // between [1, 299, 98, 2] and the suffix, which stands twice

        Assert.DoesNotContain(ids, family.Tokenizer.IsSpecial);
        Assert.Equal(question, family.Tokenizer.Decode(ids));
    }

    [Fact]
    public async Task Several_images_and_a_prompt_beyond_the_context_are_refused_and_a_caption_ends_there()
    {
        using var folder = Copy(Small, config => config["config"]!["text"]!["max_context"] = 60);
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = folder.Path, Tokenizer = Starmie }, cancellationToken: Token);

        Assert.Equal(
            "Moondream2 looks at one image, but the request has 2. Make a request for each image, or take a family that takes several "
            + "(docs/families lists them).",
            (await Assert.ThrowsAsync<ImageException>(() => captioner.CaptionAsync(new CaptionRequest([SomeImage(), SomeImage()]), Token))).Message);
        Assert.Equal(
            "The prompt has 67 tokens, 50 of them for the image, but the model takes 60 (max_context). Ask a shorter question.",
            (await Assert.ThrowsAsync<MedVlmException>(
                () => captioner.CaptionAsync(SomeImage(), new CaptionOptions { Prompt = "0 1 2 3 4 5" }, Token))).Message);

        // 56 tokens of prompt and 4 of the caption are taken in; a fifth is written.
        var caption = await captioner.CaptionAsync(SomeImage(), new CaptionOptions { MaxNewTokens = 14 }, Token);
        Assert.Equal((5, FinishReason.MaxNewTokens), (caption.TokenIds.Count, caption.FinishReason));
    }

    [Fact]
    public async Task Captions_that_are_decoded_together_are_those_of_each_alone()
    {
        var cases = GoldenCase.Names().Where(name => name.StartsWith("moondream2/case", StringComparison.Ordinal)).Select(GoldenCase.Load).ToList();
        Assert.SkipWhen(cases.Count == 0, "The goldens folder has no moondream2.");
        var options = cases[0].ToOptions();
        options.Slots = 3;
        await using var captioner = await MedicalCaptioner.LoadAsync(options, cancellationToken: Token);

        await foreach (var result in captioner.CaptionBatchAsync(cases.Concat(cases).Select(golden => golden.ToRequest()), Token))
            Assert.Equal(cases.Single(golden => golden.Name == result.Request.Id).GeneratedIds, result.Caption!.TokenIds);
    }

    [Theory]
    [InlineData("text", "group_size", "128", "config.text.group_size is 128")]
    [InlineData("text", "n_kv_heads", "3", "n_heads is 2, which is no multiple of key_value_heads 3")]
    [InlineData("text", "n_layers", "0", "n_layers is 0")]
    [InlineData("vision", "in_channels", "1", "config.vision.in_channels is 1")]
    [InlineData("vision", "proj_out_dim", "64", "config.vision.proj_out_dim is 64")]
    [InlineData("vision", "overlap_margin", "4", "config.vision.overlap_margin is 4")]
    [InlineData("vision", "crop_size", "100", "crop_size is 100, which is no multiple of enc_patch_size 14")]
    [InlineData("tokenizer", "eos_id", "512", "config.json: eos_id is 512, but the vocabulary has 512 tokens")]
    [InlineData("tokenizer", "eos_id", "7", "tokenizer.json: it is not the tokenizer of Moondream2 2025-06-21")]
    public void A_setting_that_would_change_the_arithmetic_is_refused(string part, string key, string value, string message)
    {
        using var folder = Copy(Small, config => config["config"]![part]![key] = JsonNode.Parse(value));
        using var checkpoint = Checkpoint.Open(folder.Path);

        Assert.Contains(message, Assert.ThrowsAny<MedVlmException>(() => new Moondream2(new ModelSource(checkpoint, TokenizerSource: Starmie))).Message);
    }

    [Fact]
    public void Only_typed_errors_come_of_a_damaged_config()
    {
        using var folder = Copy(Small, _ => { });
        int tried = Fuzz.Run<MedVlmException>(
            [File.ReadAllBytes(Path.Combine(Small, "config.json"))],
            damaged =>
            {
                File.WriteAllBytes(folder.File("config.json"), damaged);
                using var model = LoadedModel.Load(
                    folder.Path, null, checkpoint => new ModelSource(checkpoint, TokenizerSource: Starmie), new RuntimeSettings(), Token);
            },
            seed: 5);
        Assert.True(tried > 0);
    }

    static int[] Ids(Moondream2 family, string prompt, CaptionLength? length = null) =>
        family.Prepare([new RgbImage(1, 1, new byte[3])], prompt, new CaptionOptions { Length = length }).PromptIds;

    /// <summary>The family of a folder whose tokenizer is beside the weights, or the small starmie.</summary>
    static Moondream2 Family(TemporaryFolder folder)
    {
        using var checkpoint = Checkpoint.Open(folder.Path);
        bool older = checkpoint.Has("tokenizer.json");
        return new Moondream2(new ModelSource(checkpoint, TokenizerSource: older ? null : Starmie), NoCache);
    }

    /// <summary>A folder as published, but for weights: moondream.py, config.json and, for the older releases, a small CodeGen tokenizer.</summary>
    static TemporaryFolder FullSize(string? code, string config, Action<JsonNode>? change = null)
    {
        var folder = new TemporaryFolder();
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(TensorList.Configs("moondream2"), "config.json")))!;
        json["config"] = JsonNode.Parse(config.EndsWith(".json", StringComparison.Ordinal)
            ? File.ReadAllText(Path.Combine(TensorList.Configs("moondream2"), config))
            : config);
        change?.Invoke(json);
        folder.Write("config.json", json.ToJsonString());
        folder.Write("model.safetensors", SafetensorsBytes.OneTensor("w", "U8", [1], 7));
        if (code is not null)
            folder.Write("moondream.py", code);
        if (code is March or January || config.Contains("2025-01-09", StringComparison.Ordinal))
            folder.Write("tokenizer.json", File.ReadAllText(Path.Combine(SmallLegacy, "tokenizer.json"))
                .Replace("\"id\": 420", "\"id\": 50256", StringComparison.Ordinal).Replace("\"<|endoftext|>\": 420", "\"<|endoftext|>\": 50256", StringComparison.Ordinal));
        return folder;
    }

    static TemporaryFolder Copy(string checkpoint, Action<JsonNode> change)
    {
        var folder = new TemporaryFolder();
        foreach (var path in Directory.GetFiles(checkpoint))
            folder.Write(Path.GetFileName(path), File.ReadAllBytes(path));
        var config = JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!;
        change(config);
        folder.Write("config.json", config.ToJsonString());
        return folder;
    }

    static MedicalImage SomeImage() => MedicalImage.FromFile(Path.Combine(TestFolders.Repository, "tests", "goldens", "images", "tiny_20x28.png"));
}
