using System.Text.Json.Nodes;
using CsCheck;
using MedVlm.Devices;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>What is special about Qwen2.5-VL: windows, and a repetition penalty of its own.</summary>
public sealed class Qwen25VlTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(28, 1), InlineData(56, 2), InlineData(90, 3), InlineData(112, 4)]
    public void Windows_hold_every_patch_once_and_keep_features_together(int pixels, int side)
    {
        using var folder = WithWindows(pixels, []);
        var qwen = QwenVlTests.Family<Qwen25Vl>("qwen2.5-vl", folder.Path);

        Gen.Select(Gen.Int[1, 30], Gen.Int[1, 30]).Sample((rows, columns) =>
        {
            var grid = new PatchGrid(2 * rows, 2 * columns, 2);
            var windows = qwen.WindowsOf(grid);

            Assert.Equal((rows + side - 1) / side * ((columns + side - 1) / side), windows.Count);
            Assert.Equal(Enumerable.Range(0, grid.Patches), windows.SelectMany(window => window).Order());
            var places = grid.InFeatureOrder().ToArray();
            foreach (var window in windows)
            {
                Assert.InRange(window.Count, 4, 4 * side * side);
                Assert.Single(window.Select(patch => (places[patch].Row / (2 * side), places[patch].Column / (2 * side))).Distinct());
            }
        }, iter: 50, threads: 1);
    }

    [Theory]
    [InlineData(1, 100, 160), InlineData(2, 100, 160), InlineData(3, 20, 140)]
    public async Task One_window_over_the_whole_image_is_full_attention(int images, int width, int height)
    {
        using var windows = WithWindows(2800, []);
        using var full = WithWindows(56, [0, 1, 2, 3]);
        using var ragged = WithWindows(56, []);

        var expected = await Features(full.Path);

        FamilyParityTests.Near(expected, await Features(windows.Path), 1e-5, "image features");   // FP32 sums in another order
        Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => FamilyParityTests.Near(expected, Features(ragged.Path).Result, 1e-2, "image features"));

        async Task<float[]> Features(string folder)
        {
            await using var captioner = await MedicalCaptioner.LoadAsync(folder, Token);
            var pixels = new byte[3 * width * height];
            new Random(1).NextBytes(pixels);
            var image = MedicalImage.FromPixels(pixels, width, height, PixelFormat.Rgb24);
            var trace = new GenerationTrace();
            var request = new CaptionRequest([.. Enumerable.Repeat(image, images)]) { Options = new CaptionOptions { MaxNewTokens = 1 } };
            await captioner.StreamAsync(request, trace, Token).LastAsync(Token);
            return trace.ImageFeatures;
        }
    }

    static TemporaryFolder WithWindows(int pixels, int[] fullAttention) => QwenVlTests.Changed("qwen2.5-vl", "config.json", config =>
    {
        config["vision_config"]!["window_size"] = pixels;
        config["vision_config"]!["fullatt_block_indexes"] = new JsonArray([.. fullAttention.Select(block => (JsonNode)block)]);
    });

    /// <summary>As in the published 3B model, whose last block makes sums of 100,000 and more of some images.</summary>
    [Theory, InlineData("Fp16", 0.02), InlineData("Int8", 0.05), InlineData("Int4", 0.5)]
    public async Task Sums_of_the_vision_tower_beyond_FP16_are_right_on_a_GPU(string precision, double bound)
    {
        using var folder = QwenVlTests.Changed("qwen2.5-vl", "config.json", _ => { });
        CheckpointCopy.ScaleRows(folder.Path, "visual.blocks.3.mlp.down_proj.weight", row => row % 8 == 3 ? 1 << 15 : 1);
        foreach (var name in (string[])["weight", "bias"])
            CheckpointCopy.ScaleRows(folder.Path, $"visual.blocks.3.mlp.up_proj.{name}", _ => 16);
        var image = MedicalImage.FromFile(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg"));

        var expected = await FeaturesAsync(Precision.Fp32, new());
        var actual = await FeaturesAsync(
            Enum.Parse<Precision>(precision), new() { ChooseDevice = _ => new DeviceChoice(ComputeDevice.Parse("RTX 5080 16GB"), null), EmulateCuda = true });

        double distance = Math.Sqrt(expected.Zip(actual, (a, b) => (double)(a - b) * (a - b)).Sum() / expected.Sum(value => (double)value * value));
        Assert.True(distance < bound, $"{distance}");

        async Task<float[]> FeaturesAsync(Precision precision, MedicalCaptioner.LoadSettings settings)
        {
            await using var captioner = await MedicalCaptioner.LoadAsync(new MedicalCaptionerOptions { Model = folder.Path, Precision = precision }, null, settings, Token);
            var trace = new GenerationTrace();
            await captioner.StreamAsync(new CaptionRequest(image) { Options = new CaptionOptions { MaxNewTokens = 1 } }, trace, Token).LastAsync(Token);
            return trace.ImageFeatures;
        }
    }

    [Fact]
    public void Windows_at_the_edges_are_ragged()
    {
        // 3 x 3 features: windows of 2 x 2, 2 x 1, 1 x 2 and 1 x 1.
        var windows = QwenVlTests.Family<Qwen25Vl>("qwen2.5-vl").WindowsOf(new PatchGrid(6, 6, 2));

        int[][] features = [[0, 1, 3, 4], [2, 5], [6, 7], [8]];
        Assert.Equal(features, windows.Select(window => window.Where((_, i) => i % 4 == 0).Select(patch => patch / 4).ToArray()));
    }

    [Fact]
    public async Task Without_a_request_for_it_the_checkpoints_own_repetition_penalty_holds()
    {
        var cases = GoldenCase.Names().Where(name => name.StartsWith("qwen2.5-vl/", StringComparison.Ordinal)).Select(GoldenCase.Load);
        var golden = cases.FirstOrDefault(golden => golden.RepetitionPenalty is not null);
        Assert.SkipWhen(golden is null, "The goldens folder has no such case.");

        await using var captioner = await MedicalCaptioner.LoadAsync(golden.Checkpoint, Token);
        var request = golden.ToRequest();
        var unset = await captioner.CaptionAsync(request with { Options = request.Options! with { RepetitionPenalty = null } }, Token);
        var none = await captioner.CaptionAsync(request with { Options = request.Options! with { RepetitionPenalty = 1 } }, Token);

        Assert.Equal(golden.GeneratedIds, unset.TokenIds);
        Assert.NotEqual(golden.GeneratedIds, none.TokenIds);
    }
}
