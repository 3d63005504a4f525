using System.Globalization;
using System.Text.RegularExpressions;
using MedVlm.Inference;
using MedVlm.Tests.Hosting;
using MedVlm.Tests.Models;
using Microsoft.Extensions.Logging;

namespace MedVlm.Tests.Inference;

/// <summary>Memory that runs out halves the slots, and no caption is lost or changed by it.</summary>
public sealed class OutOfMemoryTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static readonly string[] s_images = [.. Directory.EnumerateFiles(TestFolders.Phantoms, "*.jpg").Order(StringComparer.Ordinal)];

    // What the models of the two stages say of the same images while memory suffices.
    static readonly Dictionary<string, List<string>> s_undisturbed = [];

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

    [Fact]
    public async Task A_log_that_cannot_be_written_ends_no_caption()
    {
        var expected = await CaptionAsync(4, null, null);

        var actual = await CaptionAsync(4, (running, rows) =>
        {
            if (running == "decode" && rows > 1)
                throw new OutOfMemoryException("Tests have taken it.");
        }, new FullDisk());

        Assert.Equal(expected, actual);
    }

    sealed class FullDisk : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (formatter(state, exception).Contains(" captions at once: from now on ", StringComparison.Ordinal))
                throw new IOException("No space left on device.");
        }

        public void Dispose() { }
    }

    [Fact]
    public async Task A_prompt_that_does_not_fit_beside_captions_that_take_turns_waits_for_its_own()
    {
        var expected = await CaptionAsync(2, null, null);
        bool halved = false;

        // The first step of two runs out of memory: one slot is left, in a cache that is still one for two. Then prompts do, unless alone.
        var actual = await CaptionAsync(2, (running, rows) =>
        {
            if (rows > 1 && (running == "decode" || running == "prefill" && halved))
            {
                halved = true;
                throw new OutOfMemoryException("Tests have taken it.");
            }
        }, null);

        Assert.Equal(expected, actual);
        Assert.True(halved);
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

    /// <summary>Memory runs out in so many runs, one after another, from the given one on: those of one caption.</summary>
    /// <param name="stage">Where: in the prefill, or in a vision tower that writes into the slot.</param>
    /// <param name="slots">Slots at first.</param>
    /// <param name="first">The first run that memory does not suffice for; the first of all has nothing beside it.</param>
    /// <param name="runs">How many it does not suffice for: the next one is in a cache for half of the slots.</param>
    /// <param name="left">Slots that are left.</param>
    /// <param name="failures">Captions that fail.</param>
    [Theory]
    [InlineData("prefill", 8, 3, 1, 4, 0), InlineData("prefill", 8, 3, 2, 2, 0), InlineData("prefill", 8, 3, 3, 1, 0), InlineData("prefill", 8, 3, 4, 8, 1)]
    [InlineData("prefill", 8, 1, 1, 4, 0), InlineData("prefill", 8, 1, 4, 8, 1), InlineData("prefill", 3, 2, 1, 1, 0), InlineData("prefill", 3, 2, 2, 3, 1)]
    [InlineData("prefill", 1, 1, 1, 1, 1), InlineData("prefill", 1, 3, 1, 1, 1)]
    [InlineData("vision", 4, 3, 1, 2, 0), InlineData("vision", 4, 3, 3, 4, 1), InlineData("vision", 4, 1, 3, 4, 1), InlineData("vision", 1, 1, 1, 1, 1)]
    public async Task A_prompt_that_fits_with_fewer_slots_halves_them_and_one_that_does_not_fit_alone_fails_and_costs_none(
        string stage, int slots, int first, int runs, int left, int failures)
    {
        // Captions do not depend on the slots, so each model says what it says once for all cases.
        if (!s_undisturbed.TryGetValue(stage, out var expected))
            s_undisturbed[stage] = expected = (await TextsAsync(4, null)).Texts;
        int run = 0;

        var actual = await TextsAsync(slots, (running, _) =>
        {
            if (running == stage && ++run >= first && run < first + runs)
                throw new OutOfMemoryException("Tests have taken it.");
        });

        var failed = actual.Texts.Where(text => text.StartsWith("Not enough memory for the prefill of a caption.", StringComparison.Ordinal));
        Assert.Equal((left, failures), (actual.Slots, failed.Count()));
        Assert.Equal(failures, expected.Zip(actual.Texts).Count(pair => pair.First != pair.Second));
        Assert.Equal(0, actual.PixelsInUse);

        static MedicalCaptionerOptions Blip()
        {
            var name = GoldenCase.Names().FirstOrDefault(name => name.StartsWith("blip/", StringComparison.Ordinal));
            Assert.SkipWhen(name is null, "The goldens folder has no blip.");
            return GoldenCase.Load(name!).ToOptions();
        }

        async Task<(List<string> Texts, int Slots, long PixelsInUse)> TextsAsync(int slots, Action<string, int>? beforeRun)
        {
            var options = stage == "prefill" ? new MedicalCaptionerOptions().UseTinyModel() : Blip();
            (options.Slots, options.VisionCacheMiB) = (slots, 0);
            await using var captioner = await MedicalCaptioner.LoadAsync(options, null, new() { BeforeRun = beforeRun }, Token);
            var requests = s_images.Take(9).Select(image => new CaptionRequest(MedicalImage.FromFile(image)) { Options = new CaptionOptions { MaxNewTokens = 6 } });
            var texts = await captioner.CaptionBatchAsync(requests.ToAsyncEnumerable(), new CaptionBatchOptions { Order = CaptionOrder.AsRequested }, Token)
                .Select(result => result.Caption?.Text ?? result.Error!.Message).ToListAsync(Token);
            return (texts, captioner.Engine.Slots, captioner.Model.Family.Pixels.Used);
        }
    }

    [Theory, InlineData(0, 2), InlineData(1, 1), InlineData(2, 2)]
    public async Task A_caption_that_starts_over_waits_for_memory_like_a_prompt(int runs, int left)
    {
        var golden = GoldenCase.Names().Where(name => name.StartsWith("phi3.5-vision/", StringComparison.Ordinal)).Select(GoldenCase.Load)
            .FirstOrDefault(golden => golden.RecomputedAt is { Length: > 0 });
        Assert.SkipWhen(golden is null, "The goldens folder has no case of phi3.5-vision that computes the whole sequence again.");
        var options = golden.ToOptions();
        options.Slots = 2;
        bool startsOver = false;
        int run = 0;
        await using var captioner = await MedicalCaptioner.LoadAsync(options, null, new()
        {
            BeforeRun = (stage, _) =>
            {
                // In place, then with nothing beside it.
                startsOver |= stage == "start over";
                if (startsOver && stage is ("start over" or "prefill") && run++ < runs)
                    throw new OutOfMemoryException("Tests have taken it.");
            },
        }, Token);

        if (runs < 2)
            Assert.Equal(golden.GeneratedIds, (await captioner.CaptionAsync(golden.ToRequest(), Token)).TokenIds);
        else
            await Assert.ThrowsAsync<InsufficientMemoryException>(() => captioner.CaptionAsync(golden.ToRequest(), Token));
        Assert.Equal(left, captioner.Engine.Slots);
    }

    [Theory]
    [InlineData("[ErrorCode:Fail] Available memory of 1048576 is smaller than requested bytes of 4194304", true)]
    [InlineData("[ErrorCode:RuntimeException] Non-zero status code returned while running FusedMatMul node. Failed to allocate memory for requested buffer of size 4096", true)]
    [InlineData("[ErrorCode:RuntimeException] CUDA failure 2: out of memory", true)]
    [InlineData("[ErrorCode:Fail] Out of memory. Insufficient memory to continue the execution of the program.", true)]
    [InlineData("[ErrorCode:Fail] Non-zero status code returned while running Add node. Name:'Add' Status Message: CUDA error cudaErrorMemoryAllocation:out of memory", true)]
    [InlineData("[ErrorCode:Fail] CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", true)]
    [InlineData("[ErrorCode:Fail] CUDNN failure 4004: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0", true)]
    [InlineData("[ErrorCode:Fail] CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=0", false)]
    [InlineData("[ErrorCode:InvalidArgument] Got invalid dimensions for input", false)]
    public void The_runtimes_words_for_it_are_known(string message, bool expected) => Assert.Equal(expected, EngineErrors.IsOutOfMemory(Error(message)));

    [Fact]
    public void Memory_that_does_not_suffice_for_a_load_is_told()
    {
        var error = Error("Failed to allocate memory for requested buffer of size 4915200\n");

        Assert.Equal(
            "Not enough memory to load the decoder graph: other programs have taken some since the memory plan was made, or it takes more than planned. Free some, set "
            + "MaxDeviceMemoryMiB to less, or choose a lower precision. ([ErrorCode:Fail] Failed to allocate memory for requested buffer of size 4915200)",
            Assert.IsType<InsufficientMemoryException>(EngineErrors.OfLoad(error, "decoder")).Message);
        Assert.IsType<MedVlmException>(EngineErrors.OfLoad(Error("No such operator."), "decoder"));
    }

    static Microsoft.ML.OnnxRuntime.OnnxRuntimeException Error(string message) =>
        (Microsoft.ML.OnnxRuntime.OnnxRuntimeException)Activator.CreateInstance(
            typeof(Microsoft.ML.OnnxRuntime.OnnxRuntimeException), System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic
            | System.Reflection.BindingFlags.Public, null, [Enum.Parse(typeof(Microsoft.ML.OnnxRuntime.OnnxRuntimeException).Assembly.GetType("Microsoft.ML.OnnxRuntime.ErrorCode")!, "Fail"), message], null)!;

    static async Task<Dictionary<string, string>> CaptionAsync(int slots, Action<string, int>? beforeRun, ILoggerProvider? log)
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
