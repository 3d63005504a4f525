using MedVlm.Benchmarks;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tests.Hosting;
using Microsoft.Extensions.Logging;

namespace MedVlm.Tests.Models;

/// <summary>What INT8 and INT4 make of a trained model: the embedded one, on our drawn images and, where they are there, on real ones.</summary>
[Trait("Category", "Golden")]
public sealed class QuantisedTinyModelTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string> ImageFolders => ["samples/images", "../shared/models/tiny-eval"];

    [Theory, MemberData(nameof(ImageFolders))]
    public async Task Int8_says_what_FP32_says_on_95_percent(string folder)
    {
        var quality = await MeasureAsync(Precision.Int8, folder);

        Assert.True(quality.IdenticalShare >= 0.95, $"{quality}");
    }

    [Theory, MemberData(nameof(ImageFolders))]
    public async Task Int4_loses_at_most_3_percent_of_ROUGE_L(string folder)
    {
        var quality = await MeasureAsync(Precision.Int4, folder);

        Assert.True(quality.RougeLChange >= -0.03, $"{quality}");
    }

    [Theory]
    [InlineData("Fp16", 0.95), InlineData("Int8", 0.95), InlineData("Int4", 0.8)]
    public async Task The_graphs_of_a_GPU_say_what_FP32_says(string precision, double share)
    {
        var quality = await MeasureAsync(Enum.Parse<Precision>(precision), "samples/images", gpu: true);

        Assert.True(quality.IdenticalShare >= share && quality.RougeLChange >= -0.03, $"{quality}");
    }

    [Theory]
    [InlineData("Int8", 1), InlineData("Int8", 5), InlineData("Int4", 1), InlineData("Int4", 5)]
    public async Task A_caption_does_not_depend_on_its_neighbours(string precision, int slots)
    {
        var images = Directory.EnumerateFiles(TestFolders.Phantoms, "*.jpg").Order(StringComparer.Ordinal).ToList();
        var options = new MedicalCaptionerOptions { Precision = Enum.Parse<Precision>(precision), Slots = 1 }.UseTinyModel();
        var expected = new Dictionary<string, string>();
        await using (var alone = await MedicalCaptioner.LoadAsync(options, cancellationToken: Token))
            foreach (var image in images)
                expected[image] = (await alone.CaptionAsync(MedicalImage.FromFile(image), cancellationToken: Token)).Text;

        options.Slots = slots;
        await using var captioner = await MedicalCaptioner.LoadAsync(options, cancellationToken: Token);
        await foreach (var result in captioner.CaptionBatchAsync(
            images.Concat(images).Select(image => new CaptionRequest(MedicalImage.FromFile(image)) { Id = image }), Token))
            Assert.Equal(expected[result.Request.Id], result.Caption!.Text);
    }

    [Fact]
    public async Task Caption_and_log_name_the_precision()
    {
        using var log = new LogRecorder();
        using var factory = LoggerFactory.Create(logging => logging.AddProvider(log));
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Precision = Precision.Int4 }.UseTinyModel(), factory, Token);

        var caption = await captioner.CaptionAsync(MedicalImage.FromFile(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg")), cancellationToken: Token);

        Assert.Equal(Precision.Int4, caption.Precision);
        Assert.Contains(log.Entries, entry => entry.Text.Contains(" in Int4 on ", StringComparison.Ordinal));
        Assert.Equal(Precision.Int4, captioner.GetService<CaptionerMetadata>()!.Precision);
    }

    [Fact]
    public void A_cache_that_cannot_be_written_is_told_and_done_without()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("a file, not a folder", "");

        using var model = LoadedModel.Load(
            TestFolders.TinyModel, null, new RuntimeSettings { Precision = Precision.Int4, Cache = new QuantisedCache(file) }, Token);

        Assert.StartsWith(
            $"The quantised weights were made in memory, and will be made again at every load, since the cache folder \"{file}\" cannot be used: ",
            model.Warning, StringComparison.Ordinal);
        Assert.EndsWith("Make it writable, or name another by the environment variable MEDVLM_CACHE.", model.Warning, StringComparison.Ordinal);
    }

    static Task<Quality> MeasureAsync(Precision precision, string folder, bool gpu = false)
    {
        var full = Path.Combine(TestFolders.Repository, folder);
        Assert.SkipUnless(Directory.Exists(full), "The real images (third-party, never committed) are not beside this checkout.");

        // A GPU's graphs are slow on a CPU: one prompt for each image.
        return Quality.MeasureAsync(precision, gpu, full, Token, allPrompts: !gpu);
    }
}
