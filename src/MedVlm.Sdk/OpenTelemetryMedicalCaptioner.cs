using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using MedVlm.Telemetry;
using Microsoft.Extensions.AI;

namespace MedVlm;

/// <summary>
/// Measures and traces the calls of another captioner, in the names of OpenTelemetry's semantic conventions for generative AI: a span, the
/// duration and the tokens of each caption.
/// </summary>
/// <remarks>
/// The conventions are still in development, so the names may change. Prompts, captions and request ids, which may tell of a patient, are left out
/// unless <see cref="EnableSensitiveData"/> is set. Where nobody listens, calls pass straight through. docs/telemetry.md has all names.
/// </remarks>
public sealed class OpenTelemetryMedicalCaptioner : DelegatingMedicalCaptioner
{
    /// <summary>Name of the activity source and of the meter: what an application subscribes to.</summary>
    public const string DefaultSourceName = GenAi.SourceName;

    readonly ActivitySource _source;
    readonly Meter _meter;
    readonly Histogram<double> _duration;
    readonly Histogram<int> _tokens;

    /// <summary>Wraps a captioner.</summary>
    /// <param name="inner">The captioner; disposed with this one.</param>
    /// <param name="sourceName">Name of the activity source and of the meter. Default: <see cref="DefaultSourceName"/>.</param>
    /// <param name="meters">Where the meter comes from. Default: null, one of its own.</param>
    public OpenTelemetryMedicalCaptioner(IMedicalCaptioner inner, string? sourceName = null, IMeterFactory? meters = null) : base(inner)
    {
        sourceName = string.IsNullOrEmpty(sourceName) ? DefaultSourceName : sourceName;
        _source = new ActivitySource(sourceName);
        _meter = meters?.Create(sourceName) ?? new Meter(sourceName);
        _duration = _meter.CreateHistogram("gen_ai.client.operation.duration", "s", "Time of a caption.", tags: null, GenAi.Durations);
        _tokens = _meter.CreateHistogram("gen_ai.client.token.usage", "{token}", "Tokens of prompt and caption.", tags: null, GenAi.Tokens);
    }

    /// <summary>
    /// Whether spans hold prompt, caption and request id. Default: false, or true where the environment variable
    /// OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says so.
    /// </summary>
    public bool EnableSensitiveData { get; set; } =
        string.Equals(Environment.GetEnvironmentVariable("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"), "true", StringComparison.OrdinalIgnoreCase);

    bool IsObserved => _duration.Enabled || _tokens.Enabled || _source.HasListeners();

    /// <inheritdoc/>
    public override async Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default)
    {
        if (!IsObserved)
            return await base.CaptionAsync(request, cancellationToken).ConfigureAwait(false);

        ArgumentNullException.ThrowIfNull(request);
        using var call = new Call(this, request, default, Stopwatch.GetTimestamp());
        try
        {
            var caption = await base.CaptionAsync(request, cancellationToken).ConfigureAwait(false);
            call.Succeeded(caption);
            return caption;
        }
        catch (Exception e)
        {
            call.Failed(e);
            throw;
        }
    }

    /// <inheritdoc/>
    public override IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(CaptionRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return IsObserved ? ObservedAsync(request, cancellationToken) : base.CaptionStreamingAsync(request, cancellationToken);
    }

    /// <inheritdoc/>
    public override IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(requests);
        return IsObserved ? ObservedAsync(requests, options, cancellationToken) : base.CaptionBatchAsync(requests, options, cancellationToken);
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync().ConfigureAwait(false);
        _source.Dispose();
        _meter.Dispose();
    }

    async IAsyncEnumerable<CaptionUpdate> ObservedAsync(CaptionRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var call = new Call(this, request, default, Stopwatch.GetTimestamp());
        await using var updates = base.CaptionStreamingAsync(request, cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (true)
        {
            CaptionUpdate update;
            try
            {
                if (!await updates.MoveNextAsync().ConfigureAwait(false))
                    break;
                update = updates.Current;
            }
            catch (Exception e)
            {
                call.Failed(e);
                throw;
            }
            if (update.Caption is { } caption)
                call.Succeeded(caption);
            yield return update;

            // An iterator comes back with its caller's current activity.
            call.MakeCurrent();
        }
    }

    /// <summary>A span for each result, from the moment when its request was taken from the source.</summary>
    async IAsyncEnumerable<CaptionResult> ObservedAsync(
        IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // A request may come more than once.
        var parent = Activity.Current?.Context ?? default;
        var started = new ConcurrentDictionary<object, ConcurrentQueue<long>>(ReferenceEqualityComparer.Instance!);

        await foreach (var result in base.CaptionBatchAsync(Noted(requests, cancellationToken), options, cancellationToken).ConfigureAwait(false))
        {
            using (var call = new Call(this, result.Request, parent, Start(result)))
                if (result.Succeeded)
                    call.Succeeded(result.Caption);
                else
                    call.Failed(result.Error);
            yield return result;
        }

        async IAsyncEnumerable<CaptionRequest> Noted(
            IAsyncEnumerable<CaptionRequest> source, [EnumeratorCancellation] CancellationToken ending = default)
        {
            await foreach (var request in source.WithCancellation(ending).ConfigureAwait(false))
            {
                started.GetOrAdd(request, _ => new()).Enqueue(Stopwatch.GetTimestamp());
                yield return request;
            }
        }

        long Start(CaptionResult result)
        {
            if (started.TryGetValue(result.Request, out var times) && times.TryDequeue(out long start))
            {
                if (times.IsEmpty)
                    started.TryRemove(result.Request, out _);
                return start;
            }

            // A wrapper below gave another request on.
            return Stopwatch.GetTimestamp() - (long)((result.Caption?.Timings.Total ?? TimeSpan.Zero).TotalSeconds * Stopwatch.Frequency);
        }
    }

    /// <summary>One caption, from its start to its end.</summary>
    sealed class Call : IDisposable
    {
        readonly OpenTelemetryMedicalCaptioner _captioner;
        readonly CaptionRequest _request;
        readonly Activity? _activity;
        readonly string? _provider;
        readonly long _start;
        string? _model;
        bool _ended;

        public Call(OpenTelemetryMedicalCaptioner captioner, CaptionRequest request, ActivityContext parent, long start)
        {
            (_captioner, _request, _start) = (captioner, request, start);
            var metadata = captioner.Inner.GetService<CaptionerMetadata>();
            (_model, _provider) = (metadata?.Model, captioner.Inner.GetService<ChatClientMetadata>()?.ProviderName);
            if (!captioner._source.HasListeners())
                return;

            // The model runs in this process, so the span is internal rather than a client's.
            _activity = captioner._source.StartActivity(
                _model is null ? GenAi.Operation : $"{GenAi.Operation} {_model}", ActivityKind.Internal, parent,
                startTime: TimeProvider.System.GetUtcNow() - Stopwatch.GetElapsedTime(start));
            if (_activity is not { IsAllDataRequested: true } activity)
                return;

            var options = request.Options;
            activity.SetTag(GenAi.OperationName, GenAi.Operation);
            activity.SetTag(GenAi.ProviderName, _provider ?? GenAi.Provider);
            activity.SetTag(GenAi.RequestModel, _model);
            activity.SetTag("gen_ai.request.max_tokens", options?.MaxNewTokens);
            activity.SetTag("gen_ai.request.temperature", options?.Temperature);
            activity.SetTag("gen_ai.request.top_p", options?.TopP);
            activity.SetTag("gen_ai.request.top_k", options?.TopK);
            activity.SetTag("gen_ai.request.seed", options?.Seed);
            activity.SetTag("medvlm.request.images", request.Images.Count);
            if (captioner.EnableSensitiveData)
            {
                activity.SetTag("medvlm.request.id", request.Id);
                activity.SetTag("gen_ai.input.messages", MessageContent.User(options?.Prompt ?? metadata?.DefaultPrompt ?? "", request.Images.Count));
            }
        }

        public void MakeCurrent()
        {
            if (_activity is not null)
                Activity.Current = _activity;
        }

        public void Succeeded(Caption caption)
        {
            _model ??= caption.Model;
            var tags = Tags();
            tags.Add(GenAi.ResponseModel, caption.Model);
            End(tags);
            Count(caption.PromptTokens, "input", tags);
            Count(caption.TokenIds.Count, "output", tags);

            if (_activity is not { IsAllDataRequested: true } activity)
                return;
            activity.SetTag(GenAi.ResponseModel, caption.Model);
            activity.SetTag("gen_ai.response.finish_reasons", new[] { caption.FinishReason == FinishReason.MaxNewTokens ? "length" : "stop" });
            activity.SetTag("gen_ai.usage.input_tokens", caption.PromptTokens);
            activity.SetTag("gen_ai.usage.output_tokens", caption.TokenIds.Count);
            activity.SetTag("medvlm.precision", $"{caption.Precision}");
            if (_captioner.EnableSensitiveData)
                activity.SetTag("gen_ai.output.messages", MessageContent.Assistant(caption.Text));
        }

        public void Failed(Exception error)
        {
            var tags = Tags();
            tags.Add(GenAi.ErrorType, GenAi.ErrorTypeOf(error));
            End(tags);

            // Our messages hold no patient data, but those of a source or a backend may: the type alone goes out.
            _activity?.SetTag(GenAi.ErrorType, GenAi.ErrorTypeOf(error))
                .SetStatus(ActivityStatusCode.Error, _captioner.EnableSensitiveData ? error.Message : null);
        }

        public void Dispose()
        {
            if (!_ended)
                End(Tags());
            _activity?.Dispose();
        }

        TagList Tags() => GenAi.Tags(_model, _provider);

        void End(in TagList tags)
        {
            _ended = true;
            _captioner._duration.Record(Stopwatch.GetElapsedTime(_start).TotalSeconds, tags);
        }

        void Count(int tokens, string type, TagList tags)
        {
            if (!_captioner._tokens.Enabled || tokens == 0)
                return;
            tags.Add(GenAi.TokenType, type);
            _captioner._tokens.Record(tokens, tags);
        }
    }
}
