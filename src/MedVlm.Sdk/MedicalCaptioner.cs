using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MedVlm.Checkpoints;
using MedVlm.Inference;
using MedVlm.Models;
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
    readonly ILogger _logger;
    readonly CaptionerMetadata _metadata;
    readonly CaptionOptions _defaultCaption;
    readonly ImageLimits _imageLimits;
    readonly int _slots;

    // Decoding and resizing run beside the engine, on no more threads than there are cores.
    readonly SemaphoreSlim _preprocessing = new(Environment.ProcessorCount);

    MedicalCaptioner(MedicalCaptionerOptions options, string name, LoadedModel model, CheckpointContent content, ILogger logger)
    {
        (_model, _logger, _slots, _defaultCaption) = (model, logger, options.Slots, options.DefaultCaption.Snapshot());
        _imageLimits = new ImageLimits { MaxBytes = options.ImageLimits.MaxBytes, MaxPixels = options.ImageLimits.MaxPixels };
        _engine = new Engine(model, options.Slots);
        _metadata = new CaptionerMetadata(
            name, model.Precision,
            options.DefaultCaption.Prompt ?? model.Notes.DefaultPrompt ?? model.Family.DefaultPrompt ?? CaptionOptions.DefaultPrompt,
            model.Notes.Notice)
        {
            Adapter = options.Adapter,
            Device = $"CPU ({RuntimeInformation.ProcessArchitecture}, {Environment.ProcessorCount} cores)",
            Runtime = $"ONNX Runtime {OrtEnv.Instance().GetVersionString()}",
            Content = content.Hash,
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
    public static Task<MedicalCaptioner> LoadAsync(string model, CancellationToken cancellationToken) =>
        LoadAsync(new MedicalCaptionerOptions { Model = model }, null, cancellationToken);

    /// <summary>Loads a model.</summary>
    /// <param name="options">Which model, and what it may use. Read once; later changes have no effect.</param>
    /// <param name="loggerFactory">Where to log to. Default: nowhere.</param>
    /// <param name="cancellationToken">Gives up loading at its next stage.</param>
    /// <inheritdoc cref="LoadAsync(string, CancellationToken)" path="/returns"/>
    /// <inheritdoc cref="LoadAsync(string, CancellationToken)" path="/exception"/>
    /// <exception cref="OptionsValidationException">An option is out of its range.</exception>
    public static async Task<MedicalCaptioner> LoadAsync(
        MedicalCaptionerOptions options, ILoggerFactory? loggerFactory = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        OptionsChecks.ThrowIfInvalid(options);

        var logger = (loggerFactory ?? NullLoggerFactory.Instance).CreateLogger<MedicalCaptioner>();
        var folder = ModelLocator.Find(options.Model);
        var adapter = options.Adapter is null ? null : ModelLocator.FindAdapter(options.Adapter);
        var (visionTower, tokenizer) = (options.VisionTower, options.Tokenizer);
        long start = Stopwatch.GetTimestamp();
        var model = await Task.Run(
            () => LoadedModel.Load(
                folder, adapter, checkpoint => new ModelSource(checkpoint, visionTower, tokenizer),
                new RuntimeSettings(options.Threads) { Precision = options.Precision }, cancellationToken),
            cancellationToken).ConfigureAwait(false);

        var name = model.Notes.Name ?? options.Model;
        LogMessages.ModelLoaded(logger, name, model.Precision, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        if (model.Warning is { } warning)
            LogMessages.Notice(logger, warning);
        if (model.Notes.Notice is { } notice)
            LogMessages.Notice(logger, notice);
        var content = new CheckpointContent(folder, adapter, options.VisionTower, options.Tokenizer);
        return new MedicalCaptioner(options, name, model, content, logger);
    }

    /// <inheritdoc/>
    public async Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default)
    {
        await foreach (var update in CaptionStreamingAsync(request, cancellationToken).ConfigureAwait(false))
            if (update.Caption is { } caption)
                return caption;
        throw new UnreachableException();
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(CaptionRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return StreamAsync(request, null, cancellationToken);
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        IAsyncEnumerable<CaptionRequest> requests, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(requests);

        // Twice the slots: while half of them decode, the images of the others are read.
        return CaptionBatch.RunAsync(this, requests, maxInFlight: 2 * _slots, cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(CaptionerMetadata) ? _metadata
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _engine.DisposeAsync();

    /// <summary>The model's tokenizer.</summary>
    internal Tokenizer Tokenizer => _model.Family.Tokenizer;

    /// <summary>The same as <see cref="CaptionStreamingAsync"/>, with the numbers on the way for whoever compares them.</summary>
    internal async IAsyncEnumerable<CaptionUpdate> StreamAsync(
        CaptionRequest request, GenerationTrace? trace, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Cancelled also when the caller leaves the enumeration, so that the slot is freed.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            var options = (request.Options ?? _defaultCaption).Snapshot();
            OptionsChecks.ThrowIfInvalid(options);

            long start = Stopwatch.GetTimestamp();
            var generation = await PrepareAsync(request, options, trace, ending.Token).ConfigureAwait(false);
            var preprocess = Stopwatch.GetElapsedTime(start);
            await _engine.SubmitAsync(generation).ConfigureAwait(false);

            await foreach (var update in generation.Updates.ReadAllAsync(ending.Token).ConfigureAwait(false))
                yield return new CaptionUpdate
                {
                    Text = update.Text,
                    Caption = update.Result is { } result ? Finish(generation, result, preprocess) : null,
                };
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
        }
    }

    async Task<Generation> PrepareAsync(
        CaptionRequest request, CaptionOptions options, GenerationTrace? trace, CancellationToken cancellationToken)
    {
        await _preprocessing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await Task.Run(() => Prepare(request, options, trace, cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _preprocessing.Release();
        }
    }

    async Task<Generation> Prepare(CaptionRequest request, CaptionOptions options, GenerationTrace? trace, CancellationToken cancellationToken)
    {
        var images = new Imaging.RgbImage[request.Images.Count];
        for (int i = 0; i < images.Length; i++)
            images[i] = await request.Images[i].DecodeAsync(_imageLimits, cancellationToken).ConfigureAwait(false);

        var family = _model.Family;
        var inputs = family.Prepare(images, options.Prompt ?? _metadata.DefaultPrompt, options);

        int features = inputs.Vision.Sum(run => run.Features), placeholders = inputs.PromptIds.Count(family.IsPlaceholder);
        if (features != placeholders && family.Shape.CrossLength == 0)
            throw new CheckpointException(
                $"The prompt has {placeholders} placeholder tokens for {features} image features: tokenizer.json and config.json "
                + "(image_token_id) are of different models. Take both from one revision.");

        // The last token of a caption is never taken in.
        int room = family.MaxPositions - inputs.PromptIds.Length, maxNewTokens = options.MaxNewTokens > room ? room + 1 : options.MaxNewTokens;
        return new Generation(
            inputs, SettingsOf(options), maxNewTokens, new CaptionText(new StreamingDetokenizer(family.Tokenizer), options.StopSequences),
            cancellationToken) { Trace = trace };
    }

    SamplingSettings SettingsOf(CaptionOptions options) => new(
        options.Temperature, options.TopP, options.TopK, options.RepetitionPenalty ?? _model.Generation.RepetitionPenalty,
        options.Seed is { } seed ? (ulong)seed : (ulong)Random.Shared.NextInt64())
    {
        SuppressedAfterFirst = _model.Family.SuppressedAfterFirst,
    };

    Caption Finish(Generation generation, GenerationResult result, TimeSpan preprocess)
    {
        var timings = new CaptionTimings(preprocess, generation.Queue, generation.Vision, generation.Prefill, generation.Decode);
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
