using System.Globalization;
using MedVlm.Checkpoints;
using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Docs;
using MedVlm.Tests.Models;

namespace MedVlm.Tests.Devices;

/// <summary>Memory plans: sums from the models' true sizes, the choice, overrides, and what the application is told.</summary>
public sealed class MemoryPlanTests
{
    const long MiB = 1L << 20;

    static readonly ComputeDevice s_card = ComputeDevice.Parse("RTX 5080 16GB");

    static readonly Dictionary<string, string> s_known = new()
    {
        ["smolvlm"] = "HuggingFaceTB/SmolVLM-500M-Instruct", ["qwen2-vl"] = "Qwen/Qwen2-VL-2B-Instruct", ["qwen2.5-vl"] = "Qwen/Qwen2.5-VL-3B-Instruct",
        ["blip"] = "WafaaFraih/blip-roco-radiology-captioning", ["llava-med"] = "microsoft/llava-med-v1.5-mistral-7b", ["moondream2"] = "vikhyatk/moondream2",
        ["phi3.5-vision"] = "microsoft/Phi-3.5-vision-instruct",
    };

    public static TheoryData<string> Families => [.. FullSizeModel.Families];

    public static TheoryData<string> Models => [.. s_known.Values];

    static MemoryPlan Plan(string model, ComputeDevice device, PlanRequest? request = null) =>
        MemoryPlanner.Plan(model, isLocal: false, KnownModels.Find(model)!, device, request ?? new PlanRequest());

    // ---- Sizes ----

    [Theory, MemberData(nameof(Families))]
    public void What_is_known_of_a_model_is_what_its_graphs_ask_for(string family)
    {
        var known = KnownModels.Find(s_known[family])!;

        Assert.Equal(known, FullSizeModel.Of(family).Footprint(known.Caption));
    }

    [Theory, MemberData(nameof(Families))]
    public void What_is_known_of_an_image_is_what_the_family_makes_of_it(string family)
    {
        var known = KnownModels.Find(s_known[family])!.Caption;

        var made = ModelPlanner.Caption(FullSizeModel.Of(family).Family, new(), new CaptionOptions());

        // The small tokenizer of the goldens makes other tokens of the prompt.
        Assert.Equal(known, made with { PromptTokens = known.PromptTokens });
    }

    [Theory, MemberData(nameof(Families))]
    public void What_is_known_of_a_caption_is_what_the_published_tokenizer_makes_of_it(string family)
    {
        // Moondream2 asks for captions with ids that its configuration lists: its tokenizer, which is not among the published ones here, has no part in them.
        var tokenizer = family == "moondream2" ? null : TestFolders.Shared("tokenizers", family);
        Assert.SkipWhen(tokenizer is null && family != "moondream2", "The published tokenizers are not beside this checkout.");

        Assert.Equal(KnownModels.Find(s_known[family])!.Caption, ModelPlanner.Caption(FullSizeModel.Of(family, tokenizer).Family, new(), new CaptionOptions()));
    }

    [Fact]
    public void A_matrix_takes_its_values_scales_and_zero_points()
    {
        // A row of 40 is a block of 32 and one of 8, which is filled up.
        var matrix = Matrices.Of([(10, 40)]);

        Assert.Equal(1600, matrix.Bytes(Precision.Fp32, DeviceKind.Cpu));
        Assert.Equal(800, matrix.Bytes(Precision.Fp16, DeviceKind.Cuda));
        Assert.Equal(400 + 10 * 4, matrix.Bytes(Precision.Int8, DeviceKind.Cpu));
        Assert.Equal(640 + 20 * 2, matrix.Bytes(Precision.Int8, DeviceKind.Cuda));
        Assert.Equal(320 + 20 * 4 + 10, matrix.Bytes(Precision.Int4, DeviceKind.Cpu));
        Assert.Equal(320 + 20 * 2 + 10, matrix.Bytes(Precision.Int4, DeviceKind.Cuda));
    }

    [Fact]
    public void The_token_embedding_is_on_no_GPU()
    {
        var model = KnownModels.Find("HuggingFaceTB/SmolVLM-500M-Instruct")!;

        var (gpu, cpu) = (Plan("HuggingFaceTB/SmolVLM-500M-Instruct", s_card).Candidates[0], Plan("HuggingFaceTB/SmolVLM-500M-Instruct", Processor(64)).Candidates[0]);

        Assert.Equal(1_014_964_608 - model.HostBytes, gpu.WeightBytes);
        Assert.Equal((1_014_964_608 - model.HostBytes) * 2 + model.HostBytes, cpu.WeightBytes);
        Assert.Equal(2L * 32 * 5 * 64 * 1280 * 2, gpu.KvCacheBytes);
        Assert.Equal(2L * 32 * 5 * 64 * 1280 * 4, cpu.KvCacheBytes);
    }

    [Theory]
    [InlineData(64, "Float32", false), InlineData(64, "Float16", false), InlineData(64, "Float32", true), InlineData(96, "Float32", true), InlineData(72, "Float32", true)]
    public void A_slot_is_planned_as_it_is_allocated(int headSize, string floats, bool integerKernels)
    {
        var format = new GraphFormat(LinearFormat.Int8, Enum.Parse<ElementType>(floats), integerKernels);
        var shape = new DecoderShape(Layers: 3, VocabSize: 10, HiddenSize: 16, KeyValueHeads: 2, HeadSize: headSize);
        using var memory = DeviceMemory.Host();
        using var cache = new KvCache(shape, slots: 2, slotLength: 256, format.Cache, memory);

        Assert.Equal(cache.BytesPerSlot, KvShape.Of(shape).BytesPerSlot(256, format));
    }

    // ---- Choice ----

    [Theory, MemberData(nameof(Models))]
    public void On_an_RTX_5080_LLaVA_Med_is_INT8_and_the_others_FP16_each_with_a_batch(string model)
    {
        var chosen = Plan(model, s_card).Chosen!;

        Assert.Equal(model.Contains("llava-med", StringComparison.Ordinal) ? Precision.Int8 : Precision.Fp16, chosen.Precision);
        Assert.True(chosen.Slots > 1);
    }

    [Fact]
    public void The_best_precision_counts_more_than_slots()
    {
        // Room for one slot of FP16, and for many of INT8.
        var tight = Plan("microsoft/Phi-3.5-vision-instruct", s_card).Candidates.First(candidate => candidate is { Precision: Precision.Fp16, Slots: 1 });
        var device = s_card with { FreeMemoryBytes = tight.TotalBytes + s_card.TotalMemoryBytes / 16 + 1 };

        var plan = Plan("microsoft/Phi-3.5-vision-instruct", device);

        Assert.Equal((Precision.Fp16, 1), (plan.Chosen!.Precision, plan.Chosen.Slots));
        Assert.EndsWith("FP16 is the best precision that fits, with 1 slots: more would not fit.", plan.Explain(), StringComparison.Ordinal);
        Assert.Equal((Precision.Int8, 8), (Plan("microsoft/Phi-3.5-vision-instruct", device with { FreeMemoryBytes = device.FreeMemoryBytes - 2 }).Chosen!.Precision,
            Plan("microsoft/Phi-3.5-vision-instruct", device with { FreeMemoryBytes = device.FreeMemoryBytes - 2 }).Chosen!.Slots));
    }

    [Theory]
    [InlineData("12", Precision.Int8), InlineData("8", Precision.Int4), InlineData("24", Precision.Fp16)]
    public void A_smaller_card_takes_fewer_bits(string device, Precision expected) =>
        Assert.Equal(expected, Plan("microsoft/llava-med-v1.5-mistral-7b", ComputeDevice.Parse(device)).Chosen!.Precision);

    [Fact]
    public void A_nearly_full_card_takes_nothing() =>
        Assert.Null(Plan("HuggingFaceTB/SmolVLM-500M-Instruct", s_card with { FreeMemoryBytes = 1500 * MiB }).Chosen);

    [Fact]
    public void A_processor_takes_FP32_as_long_as_it_fits()
    {
        const string Model = "HuggingFaceTB/SmolVLM-500M-Instruct";

        Assert.Equal((Precision.Fp32, 4), (Plan(Model, Processor(16)).Chosen!.Precision, Plan(Model, Processor(16)).Chosen!.Slots));
        Assert.Equal(Precision.Int8, Plan(Model, Processor(2)).Chosen!.Precision);
        Assert.Null(Plan(Model, Processor(2), new PlanRequest(Precision.Fp32)).Chosen);
    }

    [Fact]
    public void The_INT4_of_a_processor_sees_in_INT8()
    {
        var model = KnownModels.Find("vikhyatk/moondream2")!;
        var int4 = Plan("vikhyatk/moondream2", Processor(64)).Candidates.First(candidate => candidate.Precision == Precision.Int4);

        Assert.Equal(
            model.Vision.Bytes(Precision.Int8, DeviceKind.Cpu) + model.Decoder.Bytes(Precision.Int4, DeviceKind.Cpu) + model.Others * 4 + model.HostBytes, int4.WeightBytes);
    }

    static ComputeDevice Processor(int gigabytes) => new(DeviceKind.Cpu, "Some CPU", (long)gigabytes << 30, (long)gigabytes << 30);

    // ---- Overrides ----

    [Fact]
    public void Options_override_precision_slots_and_memory()
    {
        var plan = Plan("Qwen/Qwen2-VL-2B-Instruct", s_card, new PlanRequest(Precision.Int4, Slots: 3, MaxDeviceMemoryMiB: 4096));

        var only = Assert.Single(plan.Candidates);
        Assert.Equal((Precision.Int4, 3), (only.Precision, only.Slots));
        Assert.Equal(4096 * MiB, only.TotalBytes + only.MarginBytes);
        Assert.Same(only, plan.Chosen);
        Assert.EndsWith("INT4 was asked for, and fits with the 3 slots that were asked for.", plan.Explain(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(8000, false, "To be used: 7.8 GiB (MaxDeviceMemoryMiB is 8000).")]
    [InlineData(15_200, true, "To be used: 14.8 GiB (MaxDeviceMemoryMiB is 15200).")]   // as docs/precision.md has it: into the reserve
    [InlineData(1_048_576, true, "To be used: 15.5 GiB, all that is free (MaxDeviceMemoryMiB is 1048576).")]
    public void A_limit_on_memory_reaches_into_the_reserve_and_no_further(int limit, bool fits, string told)
    {
        var plan = Plan("microsoft/llava-med-v1.5-mistral-7b", s_card, new PlanRequest(Precision.Fp16, MaxDeviceMemoryMiB: limit));

        Assert.Equal(fits, plan.Chosen is not null);
        Assert.Contains(told, plan.Explain(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(64, true), InlineData(1_048_576, false)]
    public void Raising_a_limit_is_proposed_only_where_it_is_what_lacks(int limit, bool proposed)
    {
        var plan = Plan("microsoft/llava-med-v1.5-mistral-7b", ComputeDevice.Parse("4"), new PlanRequest(MaxDeviceMemoryMiB: limit));

        Assert.Null(plan.Chosen);
        Assert.Equal(proposed, plan.Explain().Contains("raise MaxDeviceMemoryMiB", StringComparison.Ordinal));
    }

    [Fact]
    public void An_impossible_override_says_what_is_lacking_and_what_can_be_done()
    {
        var plan = Plan("microsoft/llava-med-v1.5-mistral-7b", s_card, new PlanRequest(Precision.Fp16, Slots: 2));

        var error = Assert.Throws<InsufficientMemoryException>(() => plan.Require());

        Assert.Same(plan, error.Plan);
        Assert.Equal(
            """
            microsoft/llava-med-v1.5-mistral-7b does not fit into the 14.5 GiB that may be used of RTX 5080 16GB. What can be done: ask for fewer slots, leave Precision on Auto, look at images less finely (ImageDetail), free memory of the device, or take a smaller model.

            microsoft/llava-med-v1.5-mistral-7b on RTX 5080 16GB: 15.9 GiB, 15.5 GiB of it free.
            The model is not on this machine: the sizes are those of the published checkpoint.
            A caption of a 1024 x 1024 image: 601 prompt tokens and up to 128 new ones, a slot of 768.
            To be used: 14.5 GiB, what is free less 1018 MiB left to others.

                  slots  weights  KV cache  workspace  runtime    total     left  MiB
            FP16      2   14,157       192        188      600   15,137     -253  too large

            Nothing fits. What can be done: ask for fewer slots, leave Precision on Auto, look at images less finely (ImageDetail), free memory of the device, or take a smaller model.
            """, error.Message, ignoreLineEndingDifferences: true);
    }

    [Fact]
    public async Task A_load_that_does_not_fit_is_refused_with_the_plan()
    {
        var error = await Assert.ThrowsAsync<InsufficientMemoryException>(() => MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Model = TestFolders.TinyModel, MaxDeviceMemoryMiB = 64 }, cancellationToken: TestContext.Current.CancellationToken));

        Assert.Contains("does not fit into the 64 MiB that may be used of ", error.Message, StringComparison.Ordinal);
        Assert.Contains("raise MaxDeviceMemoryMiB", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_precision_that_the_device_lacks_is_refused()
    {
        var error = await Assert.ThrowsAsync<MedVlmException>(() => MedicalCaptioner.PlanAsync(
            new MedicalCaptionerOptions { Model = TestFolders.TinyModel, Precision = Precision.Fp16 },
            Processor(8), TestContext.Current.CancellationToken));

        Assert.Equal("Precision Fp16 does not run on Some CPU. Take Auto, or one of Fp32, Int8, Int4.", error.Message);
    }

    [Fact]
    public async Task A_captioner_hands_out_its_plan()
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(TestFolders.TinyModel, TestContext.Current.CancellationToken);

        var plan = captioner.GetService<MemoryPlan>()!;

        Assert.True(plan.IsLocal);
        Assert.Equal((DeviceKind.Cpu, Precision.Fp32), (plan.Device.Kind, plan.Chosen!.Precision));
    }

    [Theory]
    [InlineData("smolvlm"), InlineData("qwen2-vl")]
    public async Task What_an_adapter_merges_in_FP32_is_planned(string family)
    {
        var name = GoldenCase.LoraNames().FirstOrDefault(name => name.StartsWith($"{family}/", StringComparison.Ordinal));
        Assert.SkipWhen(name is null, $"The goldens folder has no adapter of {family}.");
        var adapterFolder = Path.Combine(TestFolders.Goldens, Path.GetDirectoryName(name)!);
        var options = new MedicalCaptionerOptions { Model = Path.Combine(adapterFolder, "..", "checkpoint") };
        long Weights(MemoryPlan plan, Precision precision) => plan.Candidates.First(candidate => candidate.Precision == precision).WeightBytes;

        var plain = await MedicalCaptioner.PlanAsync(options, Processor(8), TestContext.Current.CancellationToken);
        options.Adapter = adapterFolder;
        var adapted = await MedicalCaptioner.PlanAsync(options, Processor(8), TestContext.Current.CancellationToken);

        using var checkpoint = Checkpoint.Open(options.Model);
        using var adapter = LoraAdapter.Open(adapterFolder);
        var model = ModelRegistry.Create(new ModelSource(checkpoint));
        long merged = adapter.Bind(checkpoint.Tensors, model.ModuleNames).Keys.Sum(tensor => checkpoint.Tensors[tensor].Elements * sizeof(float));
        Assert.NotEqual(0, merged);
        Assert.Equal(Weights(plain, Precision.Fp32) + merged, Weights(adapted, Precision.Fp32));
        Assert.Equal(Weights(plain, Precision.Int8), Weights(adapted, Precision.Int8));
    }

    // ---- CUDA ----

    [Fact]
    public void The_two_sessions_share_what_may_be_used_and_do_not_double()
    {
        var plan = Plan("Qwen/Qwen2-VL-2B-Instruct", s_card with { Ordinal = 1 });

        var (vision, decoder) = CudaSessionOptions.Of(plan);

        long budget = plan.Chosen!.TotalBytes + plan.Chosen.MarginBytes;
        Assert.All([vision, decoder], options => Assert.Equal(("1", "kSameAsRequested"), (options["device_id"], options["arena_extend_strategy"])));
        Assert.InRange(
            long.Parse(vision["gpu_mem_limit"], CultureInfo.InvariantCulture) + long.Parse(decoder["gpu_mem_limit"], CultureInfo.InvariantCulture),
            plan.Chosen.TotalBytes - plan.Chosen.OverheadBytes, budget - plan.Chosen.OverheadBytes);
    }

    // ---- Page ----

    [Fact]
    public void The_page_shows_the_plans_of_today()
    {
        var rows = s_known.Values.Select(Row).ToArray();
        var page = new Page("docs/precision.md");

        if (Environment.GetEnvironmentVariable("MEDVLM_UPDATE_DOCS") == "1")
            File.WriteAllText(page.FullPath, string.Join('\n', page.Text.Split('\n').Select(line => rows.FirstOrDefault(row => line.StartsWith(row[..row.IndexOf('|', 2)], StringComparison.Ordinal)) ?? line)));
        else
            Assert.All(rows, row => Assert.Contains(row, page.Text.Split('\n')));
    }

    /// <summary>"| model | mission FP16 / INT8 | weights FP16 / INT8 | total with one slot FP16 / INT8 / INT4 | KV cache of a slot | taken |"</summary>
    static string Row(string model)
    {
        var plan = Plan(model, s_card);
        MemoryPlanCandidate One(Precision precision) => plan.Candidates.First(candidate => candidate.Precision == precision && candidate.Slots == 1);
        string GB(long bytes) => (bytes / 1e9).ToString("F2", CultureInfo.InvariantCulture);
        var (fp16, int8, int4, chosen) = (One(Precision.Fp16), One(Precision.Int8), One(Precision.Int4), plan.Chosen!);

        return string.Create(CultureInfo.InvariantCulture,
            $"| {model.Split('/')[1]} | {s_mission[model]} | {GB(fp16.WeightBytes)} / {GB(int8.WeightBytes)} / {GB(int4.WeightBytes)} | {plan.SlotLength} | {fp16.KvCacheBytes / MiB} | ")
            + string.Create(CultureInfo.InvariantCulture,
            $"{GB(fp16.TotalBytes)} / {GB(int8.TotalBytes)} / {GB(int4.TotalBytes)} | {chosen.Precision.ToString().ToUpperInvariant()}, {chosen.Slots} slots, {GB(chosen.TotalBytes)} |");
    }

    static readonly Dictionary<string, string> s_mission = new()
    {
        ["HuggingFaceTB/SmolVLM-500M-Instruct"] = "< 1 / < 0.5", ["Qwen/Qwen2-VL-2B-Instruct"] = "4-6 / 2-3", ["Qwen/Qwen2.5-VL-3B-Instruct"] = "6-8 / 3-4",
        ["WafaaFraih/blip-roco-radiology-captioning"] = "< 4", ["microsoft/llava-med-v1.5-mistral-7b"] = "14-16 / 7-8", ["vikhyatk/moondream2"] = "4 / 2",
        ["microsoft/Phi-3.5-vision-instruct"] = "8-9 / 4.4",
    };
}
