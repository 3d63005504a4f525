using MedVlm.Inference;

namespace MedVlm.Tests.Models;

/// <summary>Every golden case of every family, stage by stage: the first line that fails names the stage.</summary>
[Trait("Category", "Golden")]
public sealed class FamilyParityTests(FamilyParityTests.Captioners captioners) : IClassFixture<FamilyParityTests.Captioners>
{
    // One row for each case on disk: a new family adds a folder, not a test.
    public static TheoryData<string> Cases => [.. GoldenCase.Names()];

    [Theory, MemberData(nameof(Cases))]
    public async Task Says_what_the_reference_says(string name)
    {
        var golden = GoldenCase.Load(name);
        await AssertSame(golden, await captioners.GetAsync(golden.ToOptions()));
    }

    /// <summary>A captioner gives all that the case holds.</summary>
    internal static async Task AssertSame(GoldenCase golden, MedicalCaptioner captioner)
    {
        var trace = new GenerationTrace();
        Caption? caption = null;
        await foreach (var update in captioner.StreamAsync(golden.ToRequest(), trace, TestContext.Current.CancellationToken))
            caption = update.Caption;

        // Resize, decoder and normalisation are the reference's to the bit, so the pixels are too.
        if (golden.PixelValues() is { } pixels)
            Assert.Equal(pixels, trace.VisionInput("pixel_values"));
        if (golden.Has("crops_u8"))
            Assert.Equal(golden.FirstSecondAndLastCrop(), Crops(trace, 0, 1, ^1));
        if (golden.Tiling is [var rows, var columns])
            Assert.Equal(1 + rows * columns, trace.Vision.Sum(run => run.Inputs["pixel_values"].Shape[0]));
        Assert.Equal(golden.InputIds, trace.PromptIds);
        if (golden.Has("position_ids"))
            Assert.Equal(golden.Integers("position_ids"), trace.Positions.Axes.SelectMany(axis => axis.Select(position => (long)position)));
        if (golden.RopeDelta is { } delta)
            Assert.Equal(delta, trace.Positions.Next - trace.PromptIds.Length);

        // 1e-3 of the largest magnitude: FP32 sums in another order than the reference's.
        Near(golden.Tensor("image_features"), trace.ImageFeatures, 1e-3, "image features");
        Near(golden.Tensor("prompt_logits"), trace.StepLogits[0], 1e-3, "prompt logits");
        var steps = golden.Tensor("step_logits");
        Near(steps, [.. trace.StepLogits.SelectMany(logits => logits).Take(steps.Length)], 1e-3, "step logits");

        Assert.Equal(golden.RecomputedAt ?? [], trace.StartedOver);
        Assert.Equal(golden.GeneratedIds, caption!.TokenIds);
        Assert.Equal(golden.Text, captioner.Tokenizer.Decode(golden.GeneratedIds));
        Assert.Equal(golden.Text.Trim(), caption.Text);
        if (golden.FullText is { } fullText)
            Assert.Equal(fullText, captioner.Tokenizer.Decode([.. golden.InputIds, .. golden.GeneratedIds]));
        Assert.Equal(
            golden.GeneratedIds.Length < golden.MaxNewTokens ? FinishReason.EndOfSequence : caption.FinishReason, caption.FinishReason);
    }

    /// <summary>Some crops of what the vision graph was given.</summary>
    static float[] Crops(GenerationTrace trace, params Index[] crops)
    {
        var (data, shape) = (trace.VisionInput("pixel_values"), trace.Vision[0].Inputs["pixel_values"].Shape);
        int size = (int)(shape[1] * shape[2] * shape[3]), count = data.Length / size;
        return [.. crops.SelectMany(crop => data[(crop.GetOffset(count) * size)..][..size])];
    }

    internal static void Near(float[] expected, float[] actual, double relative, string stage)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = expected.Max(Math.Abs), worst = 0;
        for (int i = 0; i < expected.Length; i++)
            worst = double.IsNaN(actual[i]) ? double.PositiveInfinity : Math.Max(worst, Math.Abs(expected[i] - actual[i]));
        Assert.True(worst <= relative * largest, $"{stage}: off by {worst / largest:E2} of the largest magnitude, {relative:E0} is allowed.");
    }

    /// <summary>Each checkpoint loaded once for all its cases.</summary>
    public sealed class Captioners : IAsyncDisposable
    {
        readonly Dictionary<string, MedicalCaptioner> _loaded = [];

        public async Task<MedicalCaptioner> GetAsync(MedicalCaptionerOptions options) =>
            _loaded.TryGetValue(options.Model, out var captioner) ? captioner : _loaded[options.Model] = await MedicalCaptioner.LoadAsync(options);

        public async ValueTask DisposeAsync()
        {
            foreach (var captioner in _loaded.Values)
                await captioner.DisposeAsync();
        }
    }
}
