using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MedVlm.Calibration;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Inference;
using MedVlm.Kernels;
using MedVlm.Telemetry;
using MedVlm.Tokenizers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm;

/// <summary>An <see cref="IMedicalCaptioner"/> that runs a vision-language model in this process.</summary>
/// <remarks>
/// Thread-safe; calls from many threads share the model and are decoded together. Dispose it after the last use: captions under way
/// then end with <see cref="ObjectDisposedException"/>, and the memory of weights and KV cache is freed.
/// </remarks>
public sealed class MedicalCaptioner : IMedicalCaptioner
{
    readonly LoadedModel _model;
    readonly Engine _engine;
    readonly EngineTelemetry _telemetry;
    readonly ILogger _logger;
    readonly CaptionerMetadata _metadata;
    readonly CaptionOptions _defaultCaption;
    readonly ImageLimits _imageLimits;
    readonly int _slots;

    // Decoding and resizing run beside the engine, on no more threads than there are cores.
    readonly SemaphoreSlim _preprocessing;

    MedicalCaptioner(
        MedicalCaptionerOptions options, string name, LoadedModel model, CheckpointContent content, ILogger logger, LoadSettings settings)
    {
        (_model, _logger, _slots, _defaultCaption, _imageLimits) = (model, logger, model.Plan!.Require().Slots, options.DefaultCaption, options.ImageLimits);
        _preprocessing = new SemaphoreSlim(MemoryPlanner.ImagesInWork(_slots));
        _telemetry = new EngineTelemetry(settings.Meters, name, settings.ServiceKey);
        _engine = new Engine(
            model, _slots, options.VisionCacheMiB * (1L << 20), settings.VisionAhead ?? model.Plan!.Device.Kind != DeviceKind.Cpu,
            new EngineHooks((before, after) =>
            {
                _telemetry.SlotsReduced(before, after);
                LogMessages.SlotsReduced(_logger, before, after);
            },
            (before, after) =>
            {
                _telemetry.VisionRunReduced(before, after);
                LogMessages.VisionRunReduced(_logger, before, after);
            }, settings.BeforeRun));
        _telemetry.Watch(_engine);
        _metadata = new CaptionerMetadata(
            name, model.Precision,
            options.DefaultCaption.Prompt ?? model.Notes.DefaultPrompt ?? model.Family.DefaultPrompt ?? CaptionOptions.DefaultPrompt,
            model.Notes.Notice)
        {
            Adapter = options.Adapter,
            Device = model.Plan.Device.Kind == DeviceKind.Cpu
                ? $"CPU ({RuntimeInformation.ProcessArchitecture}, {Environment.ProcessorCount} cores)"
                : model.Plan.Device.Name,
            Runtime = $"ONNX Runtime {OrtEnv.Instance().GetVersionString()}",
            Content = content.Hash,
            DefaultCaption = options.DefaultCaption,
        };
    }

    /// <summary>Loads a model with default options.</summary>
    /// <inheritdoc cref="LoadAsync(string, CancellationToken)"/>
    public static Task<MedicalCaptioner> LoadAsync(string model) => LoadAsync(model, CancellationToken.None);

    /// <summary>Loads a model with default options.</summary>
    /// <param name="model">Hub id in the local Hugging Face cache ("org/name", or "org/name@revision"), or a checkpoint folder.</param>
    /// <param name="cancellationToken">Gives up loading at its next stage.</param>
    /// <returns>The captioner, which the caller disposes.</returns>
    /// <exception cref="ModelNotFoundException">No such folder, and no such model in the cache.</exception>
    /// <exception cref="CheckpointException">A file of the checkpoint is missing, damaged, or does not belong to the others.</exception>
    /// <exception cref="UnsupportedModelException">The model is of a family that is not supported.</exception>
    /// <exception cref="NativeRuntimeException">The application references no native ONNX Runtime.</exception>
    /// <exception cref="InsufficientMemoryException">The model does not fit into the memory that is free, or not as the options ask for it.</exception>
    public static Task<MedicalCaptioner> LoadAsync(string model, CancellationToken cancellationToken) =>
        LoadAsync(new MedicalCaptionerOptions { Model = model }, null, cancellationToken);

    /// <summary>Loads a model.</summary>
    /// <param name="options">Which model, and what it may use. Read once; later changes have no effect.</param>
    /// <param name="loggerFactory">Where to log to. Default: nowhere.</param>
    /// <param name="cancellationToken">Gives up loading at its next stage.</param>
    /// <inheritdoc cref="LoadAsync(string, CancellationToken)" path="/returns"/>
    /// <inheritdoc cref="LoadAsync(string, CancellationToken)" path="/exception"/>
    /// <exception cref="OptionsValidationException">An option is out of its range.</exception>
    public static Task<MedicalCaptioner> LoadAsync(
        MedicalCaptionerOptions options, ILoggerFactory? loggerFactory = null, CancellationToken cancellationToken = default) =>
        LoadAsync(options, loggerFactory, new LoadSettings(), cancellationToken);

    /// <summary>What a load may be told beside the options.</summary>
    /// <param name="VisionAhead">Whether the vision tower runs beside decode steps. Default: on everything but a CPU.</param>
    /// <param name="Meters">Where meters come from. Default: a meter of its own.</param>
    /// <param name="ServiceKey">Key of the registration.</param>
    internal sealed record LoadSettings(bool? VisionAhead = null, IMeterFactory? Meters = null, string? ServiceKey = null)
    {
        /// <summary>Chooses the device by the option.</summary>
        public Func<string, DeviceChoice> ChooseDevice { get; init; } = DeviceChoice.Of;

        /// <summary>Called before each run of the vision tower, prefill and decode step: for tests.</summary>
        public Action<string, int>? BeforeRun { get; init; }

        /// <summary>Runs the graphs of a GPU on the CPU: for tests.</summary>
        public bool EmulateCuda { get; init; }

        /// <summary>Where ONNX Runtime writes a profile of each graph: for measurements.</summary>
        public string? ProfileFolder { get; init; }

        /// <summary>Whether the operators of <see cref="CustomOperators"/> are used on a CPU: for tests.</summary>
        public bool IntegerKernels { get; init; } = CustomOperators.AreSupported;
    }

    /// <summary>The same, with what no option sets.</summary>
    /// <param name="options">Which model, and what it may use.</param>
    /// <param name="loggerFactory">Where to log to.</param>
    /// <param name="settings">What no option sets.</param>
    /// <param name="cancellationToken">Gives up loading at its next stage.</param>
    internal static async Task<MedicalCaptioner> LoadAsync(
        MedicalCaptionerOptions options, ILoggerFactory? loggerFactory, LoadSettings settings, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        OptionsChecks.ThrowIfInvalid(options);
        options = ModelPlanner.Snapshot(options);

        var logger = (loggerFactory ?? NullLoggerFactory.Instance).CreateLogger<MedicalCaptioner>();
        var folder = ModelLocator.Find(options.Model);
        var adapter = options.Adapter is null ? null : ModelLocator.FindAdapter(options.Adapter);
        long start = Stopwatch.GetTimestamp();

        // The native library and the devices, beside the headers and the tokenizer: the plan is the first to need them.
        var choosing = Task.Run(
            () =>
            {
                OnnxRuntimeEnvironment.Ensure();
                return settings.ChooseDevice(options.Device);
            },
            cancellationToken);
        var model = await Task.Run(
            () => LoadedModel.Load(
                folder, adapter, checkpoint => ModelPlanner.SourceOf(options, checkpoint),
                new RuntimeSettings(options.Threads, settings.ProfileFolder) { Precision = options.Precision, EmulateCuda = settings.EmulateCuda, IntegerKernels = settings.IntegerKernels },
                cancellationToken,
                (family, notes, tensors) => ModelPlanner.Plan(options, choosing.GetAwaiter().GetResult().Device, family, notes, tensors)),
            cancellationToken).ConfigureAwait(false);
        var choice = await choosing.ConfigureAwait(false);   // done: the plan has waited for it

        try
        {
            var name = model.Notes.Name ?? options.Model;
            LogMessages.ModelLoaded(
                logger, name, model.Precision, choice.Device.Name, model.Plan!.Require().Slots, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            if (model.Calibration is not null)
                LogMessages.Calibrated(logger);
            foreach (var notice in (string?[])[choice.Notice, model.Warning, model.Notes.Notice])
                if (notice is not null)
                    LogMessages.Notice(logger, notice);
            return new MedicalCaptioner(
                options, name, model, new CheckpointContent(folder, adapter, options.VisionTower, options.Tokenizer, model.Calibration), logger, settings);
        }
        catch
        {
            // A logger or a meter's factory that was disposed meanwhile.
            model.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Adds up what a model takes on a device, without loading it: from the headers of its files, or, for the models that this library is
    /// made for (<see cref="SystemInformation.KnownModels"/>), from their published sizes where the model is not on this machine.
    /// </summary>
    /// <param name="options">Which model, and what it may use.</param>
    /// <param name="device">Where it is to run: one of <see cref="SystemInformation"/>, or <see cref="ComputeDevice.Parse"/>d. Default: null, where
    /// <see cref="LoadAsync(MedicalCaptionerOptions, ILoggerFactory, CancellationToken)"/> runs it.</param>
    /// <param name="cancellationToken">Gives up at the next stage.</param>
    /// <returns>The plan, also where nothing fits.</returns>
    /// <exception cref="ModelNotFoundException">No such folder, and no such model in the cache or among those known.</exception>
    /// <exception cref="CheckpointException">A file of the checkpoint is missing, damaged, or does not belong to the others.</exception>
    /// <exception cref="UnsupportedModelException">The model is of a family that is not supported.</exception>
    /// <exception cref="MedVlmException">The device does not compute in the precision that the options ask for.</exception>
    /// <exception cref="OptionsValidationException">An option is out of its range.</exception>
    public static Task<MemoryPlan> PlanAsync(
        MedicalCaptionerOptions options, ComputeDevice? device = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        OptionsChecks.ThrowIfInvalid(options);
        var planned = ModelPlanner.Snapshot(options);
        return Task.Run(() => ModelPlanner.Plan(planned, device ?? DeviceChoice.Of(planned.Device).Device, cancellationToken), cancellationToken);
    }

    /// <summary>
    /// Runs a model on images and measures how its linear layers are best quantised: where a few channels are so much larger than the others that INT8 loses
    /// by them, they are made smaller ahead, in the norm or linear layer before, and the weights larger (SmoothQuant, arXiv:2211.10438); and INT4 weighs its
    /// errors by the inputs that were seen. What is found is kept in the cache (<see cref="WeightCache"/>), where every later load of the same checkpoint, with
    /// the same adapter, in <see cref="Precision.Int8"/> or <see cref="Precision.Int4"/> takes it from. A captioner that is loaded already does not change.
    /// </summary>
    /// <remarks>
    /// The model runs on the processor, in FP32 and in one slot whatever the options say: it needs the memory for that. Of every second image, in the order given,
    /// nothing is computed: what makes the error on these larger is not taken, and the report tells the errors on them, so mix images of several kinds. A few
    /// dozen images of the kind that the model will see are enough; nothing of them is kept but magnitudes of channels. An earlier calibration of the same
    /// checkpoint is replaced, and what was quantised by it is deleted from the cache.
    /// </remarks>
    /// <param name="options">Which model, and what it may use. Images are asked about as <see cref="MedicalCaptionerOptions.DefaultCaption"/> says.</param>
    /// <param name="images">The images, at least two. Each is decoded when it is its turn.</param>
    /// <param name="progress">Is told how many images are done. Default: nobody.</param>
    /// <param name="cancellationToken">Ends the run at once, or the choice at the next rows of weights; nothing is kept then.</param>
    /// <returns>What was chosen, and what it is worth.</returns>
    /// <inheritdoc cref="LoadAsync(string, CancellationToken)" path="/exception"/>
    /// <exception cref="ImageException">An image is damaged, or of a shape that the model cannot take.</exception>
    /// <exception cref="ArgumentException">There are fewer than two images.</exception>
    /// <exception cref="IOException">The cache cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The cache must not be written.</exception>
    /// <exception cref="OptionsValidationException">An option is out of its range.</exception>
    public static Task<CalibrationReport> CalibrateAsync(
        MedicalCaptionerOptions options, IEnumerable<MedicalImage> images, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(images);
        OptionsChecks.ThrowIfInvalid(options);
        if (images.TryGetNonEnumeratedCount(out int known))   // before the long run, where it can be told
            ThrowIfTooFew(known, nameof(images));
        var snapshot = ModelPlanner.Snapshot(options);

        // One image at a time, in main memory: a limit that is a GPU's is none of it.
        if (!string.Equals(snapshot.Device, "cpu", StringComparison.OrdinalIgnoreCase))
            snapshot.MaxDeviceMemoryMiB = null;
        (snapshot.Precision, snapshot.Device, snapshot.Slots) = (Precision.Fp32, "cpu", 1);
        return Task.Run(
            () => CalibrateAsync(snapshot, images, QuantisedCache.FromEnvironment(Environment.GetEnvironmentVariable), progress, cancellationToken), cancellationToken);
    }

    /// <summary>The same, into a cache of the caller's.</summary>
    internal static async Task<CalibrationReport> CalibrateAsync(
        MedicalCaptionerOptions options, IEnumerable<MedicalImage> images, QuantisedCache cache, IProgress<int>? progress, CancellationToken cancellationToken)
    {
        OnnxRuntimeEnvironment.Ensure();
        cache.RequireWritable();   // before the long run, which would be lost without it
        using var calibrator = new Calibrator(options, cancellationToken);
        int count = 0;
        foreach (var image in images)
        {
            calibrator.Add(await image.DecodeAsync(options.ImageLimits, cancellationToken).ConfigureAwait(false), options.DefaultCaption, cancellationToken);
            count++;
            progress?.Report(count);
        }
        ThrowIfTooFew(count, nameof(images));

        var (calibration, layers) = calibrator.Choose(cancellationToken);
        return new CalibrationReport(calibrator.Notes.Name ?? options.Model, calibrator.Write(calibration, cache, cancellationToken), count, layers);
    }

    static void ThrowIfTooFew(int images, string parameter)
    {
        if (images < Calibrator.FewestImages)
            throw new ArgumentException(
                $"A calibration needs at least {Calibrator.FewestImages} images, and was given {images}: by one half it chooses, and by the other it tells what the choice is worth.",
                parameter);
    }

    /// <inheritdoc/>
    public Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return CaptionAsync(request, new object(), cancellationToken);
    }

    async Task<Caption> CaptionAsync(CaptionRequest request, object caller, CancellationToken cancellationToken)
    {
        await foreach (var update in StreamAsync(request, caller, null, cancellationToken).ConfigureAwait(false))
            if (update.Caption is { } caption)
                return caption;
        throw new UnreachableException();
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(CaptionRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return StreamAsync(request, new object(), null, cancellationToken);
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(requests);

        // Twice the slots: while half of them decode, the images of the others are read. In order, as many again may wait for a longer one.
        var caller = new object();
        return CaptionBatch.RunAsync(
            (request, ending) => CaptionAsync(request, caller, ending), requests,
            maxInFlight: options?.Order == CaptionOrder.AsRequested ? 4 * _slots : 2 * _slots, options, cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(CaptionerMetadata) ? _metadata
            : serviceType == typeof(MemoryPlan) ? _model.Plan
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _engine.DisposeAsync().ConfigureAwait(false);
        _telemetry.Dispose();
    }

    /// <summary>The model's tokenizer.</summary>
    internal Tokenizer Tokenizer => _model.Family.Tokenizer;

    /// <summary>The model that is loaded.</summary>
    internal LoadedModel Model => _model;

    /// <summary>What runs the captions.</summary>
    internal Engine Engine => _engine;

    /// <summary>The same as <see cref="CaptionStreamingAsync"/>, with the numbers on the way for whoever compares them.</summary>
    internal IAsyncEnumerable<CaptionUpdate> StreamAsync(CaptionRequest request, GenerationTrace? trace, CancellationToken cancellationToken) =>
        StreamAsync(request, new object(), trace, cancellationToken);

    async IAsyncEnumerable<CaptionUpdate> StreamAsync(
        CaptionRequest request, object caller, GenerationTrace? trace, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Cancelled also when the caller leaves the enumeration, so that the slot is freed.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        long start = Stopwatch.GetTimestamp();
        Generation? generation = null;
        Exception? error = null;
        try
        {
            try
            {
                generation = await BeginAsync(request, caller, trace, ending.Token).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                error = e;
                throw;
            }

            await foreach (var update in generation.Updates.ReadAllAsync(ending.Token).ConfigureAwait(false))
                yield return new CaptionUpdate
                {
                    Text = update.Text,
                    Caption = update.Result is { } result ? Finish(generation, result) : null,
                };
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
            if (cancellationToken.IsCancellationRequested)
                error ??= new OperationCanceledException(cancellationToken);   // the engine learns of it at its next step
            _telemetry.Ended(start, request.Images.Count, generation, error);
        }
    }

    /// <summary>Waits for the caller's turn, makes the images ready, and hands the caption to the engine.</summary>
    async Task<Generation> BeginAsync(CaptionRequest request, object caller, GenerationTrace? trace, CancellationToken cancellationToken)
    {
        var options = (request.Options ?? _defaultCaption).Snapshot();
        OptionsChecks.ThrowIfInvalid(options);

        long start = Stopwatch.GetTimestamp();
        var place = await _engine.Gate.EnterAsync(caller, cancellationToken).ConfigureAwait(false);
        Generation? generation = null;
        try
        {
            var waited = Stopwatch.GetElapsedTime(start);
            await _preprocessing.WaitAsync(cancellationToken).ConfigureAwait(false);
            try
            {
                generation = await Task.Run(() => Prepare(request, options, caller, place, trace, cancellationToken), cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                _preprocessing.Release();
            }
            (generation.Waited, generation.Preprocess) = (waited, Stopwatch.GetElapsedTime(start) - waited);
            _engine.Submit(generation);
            return generation;
        }
        catch
        {
            generation?.ReleaseImages();
            place.Dispose();
            throw;
        }
    }

    async Task<Generation> Prepare(
        CaptionRequest request, CaptionOptions options, object caller, IDisposable place, GenerationTrace? trace, CancellationToken cancellationToken)
    {
        var images = new Imaging.RgbImage[request.Images.Count];
        for (int i = 0; i < images.Length; i++)
            images[i] = await request.Images[i].DecodeAsync(_imageLimits, cancellationToken).ConfigureAwait(false);

        var family = _model.Family;
        var inputs = family.Prepare(images, options.Prompt ?? _metadata.DefaultPrompt, options);

        try
        {
            inputs.RequirePlaceholders(family);

            // Beside a GPU the host has time to make the values ahead; on a CPU the tower would wait for the same cores.
            if (_model.Plan!.Device.Kind != DeviceKind.Cpu)
                inputs = inputs.Made();

            // The last token of a caption is never taken in.
            int room = family.MaxPositions - inputs.PromptIds.Length, maxNewTokens = options.MaxNewTokens > room ? room + 1 : options.MaxNewTokens;
            return new Generation(
                inputs, SettingsOf(options), maxNewTokens, new CaptionText(new StreamingDetokenizer(family.Tokenizer), options.StopSequences),
                cancellationToken)
            {
                Caller = caller,
                Place = place,
                ImageKey = _engine.VisionCache.IsOn ? ImageKey.Of(images, options.ImageDetail) : null,
                Trace = trace,
            };
        }
        catch
        {
            inputs.WithoutImages();
            throw;
        }
    }

    SamplingSettings SettingsOf(CaptionOptions options) => new(
        options.Temperature, options.TopP, options.TopK, options.RepetitionPenalty ?? _model.Generation.RepetitionPenalty,
        options.Seed is { } seed ? (ulong)seed : (ulong)Random.Shared.NextInt64())
    {
        SuppressedAfterFirst = _model.Family.SuppressedAfterFirst,
    };

    Caption Finish(Generation generation, GenerationResult result)
    {
        var timings = new CaptionTimings(generation.Preprocess, generation.Waited + generation.Queue, generation.Vision, generation.Prefill, generation.Decode);
        LogMessages.Captioned(_logger, result.TokenIds.Length, generation.Inputs.PromptIds.Length, timings.Total.TotalMilliseconds);
        return new Caption
        {
            Text = result.Text,
            TokenIds = result.TokenIds,
            FinishReason = result.FinishReason,
            Confidence = result.Confidence,
            PromptTokens = generation.Inputs.PromptIds.Length,
            Timings = timings,
            Model = _metadata.Model,
            Precision = _metadata.Precision,
        };
    }
}
