using System.Globalization;
using System.Text.RegularExpressions;
using MedVlm.Inference;
using MedVlm.Tests.Hosting;
using Microsoft.Extensions.Logging;

namespace MedVlm.Tests.Inference;

/// <summary>Memory that runs out halves the slots, and no caption is lost or changed by it.</summary>
public sealed class OutOfMemoryTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static readonly string[] s_images = [.. Directory.EnumerateFiles(TestFolders.Phantoms, "*.jpg").Order(StringComparer.Ordinal)];

    [Theory]
    [InlineData("decode", 8, 3), InlineData("decode", 8, 1), InlineData("prefill", 8, 3), InlineData("prefill", 4, 1)]
    public async Task Slots_are_halved_and_every_caption_is_what_it_was(string stage, int slots, int fits)
    {
        var expected = await CaptionAsync(slots, null, null);
        using var log = new LogRecorder();

        var actual = await CaptionAsync(slots, (running, rows) =>
        {
            if (running == stage && rows > fits)
                throw new OutOfMemoryException("Tests have taken it.");
        }, log);

        Assert.Equal(expected, actual);

        // Halves of as many as ran when memory ran out, which may be fewer than there are slots.
        var left = log.Entries.Where(entry => entry.Level == LogLevel.Warning)
                      .Select(entry => Regex.Match(entry.Text, @" captions at once: from now on (\d+) are decoded together\."))
                      .Last(match => match.Success).Groups[1].Value;
        Assert.InRange(int.Parse(left, CultureInfo.InvariantCulture), (fits + 1) / 2, fits);
    }

    [Theory]
    [InlineData("decode"), InlineData("prefill")]
    public async Task Where_not_even_one_fits_captions_fail_and_say_why(string stage)
    {
        var errors = await CaptionAsync(4, (running, _) =>
        {
            if (running == stage)
                throw new OutOfMemoryException("Tests have taken it.");
        }, null);

        Assert.Equal(s_images.Length, errors.Count);
        Assert.All(errors.Values, error => Assert.Equal(
            $"Not enough memory for the {stage} of a caption. Use fewer slots, fewer new tokens, or a coarser image detail. (Tests have taken it.)", error));
    }

    [Theory]
    [InlineData("[ErrorCode:Fail] Available memory of 1048576 is smaller than requested bytes of 4194304", true)]
    [InlineData("[ErrorCode:RuntimeException] Non-zero status code returned while running FusedMatMul node. Failed to allocate memory for requested buffer of size 4096", true)]
    [InlineData("[ErrorCode:RuntimeException] CUDA failure 2: out of memory", true)]
    [InlineData("[ErrorCode:Fail] Out of memory. Insufficient memory to continue the execution of the program.", true)]
    [InlineData("[ErrorCode:InvalidArgument] Got invalid dimensions for input", false)]
    public void The_runtimes_words_for_it_are_known(string message, bool expected) => Assert.Equal(expected, EngineErrors.IsOutOfMemory(Error(message)));

    static Exception Error(string message) =>
        (Exception)Activator.CreateInstance(
            typeof(Microsoft.ML.OnnxRuntime.OnnxRuntimeException), System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic
            | System.Reflection.BindingFlags.Public, null, [Enum.Parse(typeof(Microsoft.ML.OnnxRuntime.OnnxRuntimeException).Assembly.GetType("Microsoft.ML.OnnxRuntime.ErrorCode")!, "Fail"), message], null)!;

    static async Task<Dictionary<string, string>> CaptionAsync(int slots, Action<string, int>? beforeRun, LogRecorder? log)
    {
        using var factory = LoggerFactory.Create(logging =>
        {
            if (log is not null)
                logging.AddProvider(log);
        });
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions { Slots = slots }.UseTinyModel(), factory, new() { BeforeRun = beforeRun }, Token);
        var texts = new Dictionary<string, string>();
        await foreach (var result in captioner.CaptionBatchAsync(
            s_images.ToAsyncEnumerable().Select(image => new CaptionRequest(MedicalImage.FromFile(image)) { Id = image }), cancellationToken: Token))
            texts.Add(result.Request.Id, result.Caption?.Text ?? result.Error!.Message);
        return texts;
    }
}
