using System.Diagnostics;
using System.Diagnostics.Metrics;
using MedVlm.Inference;

namespace MedVlm.Telemetry;

/// <summary>What the engine of a captioner measures. docs/telemetry.md has the names.</summary>
internal sealed class EngineTelemetry : IDisposable
{
    readonly Meter _meter;
    readonly TagList _tags;
    readonly Histogram<double> _request, _firstToken, _nextTokens;
    readonly Counter<long> _images, _failures, _slotReductions, _visionReductions;
    volatile Engine? _engine;

    /// <param name="meters">Where meters come from; null makes one that is disposed with this.</param>
    /// <param name="model">Name of the model, an attribute of every measurement.</param>
    /// <param name="serviceKey">Key that tells this captioner from others in the same container; null for none.</param>
    public EngineTelemetry(IMeterFactory? meters, string model, string? serviceKey)
    {
        _meter = meters?.Create(GenAi.SourceName) ?? new Meter(GenAi.SourceName);
        _tags = GenAi.Tags(model);
        if (serviceKey is not null)
            _tags.Add("medvlm.captioner", serviceKey);

        _request = _meter.CreateHistogram("gen_ai.server.request.duration", "s",
            "Time from the call to the end of the caption.", tags: null, GenAi.Durations);
        _firstToken = _meter.CreateHistogram("gen_ai.server.time_to_first_token", "s",
            "Time from the call to the caption's first token.", tags: null, GenAi.FirstTokens);
        _nextTokens = _meter.CreateHistogram("gen_ai.server.time_per_output_token", "s",
            "Time for each token after the first.", tags: null, GenAi.NextTokens);
        _images = _meter.CreateCounter<long>("medvlm.images", "{image}", "Images that were captioned.");
        _failures = _meter.CreateCounter<long>("medvlm.failures", "{request}", "Requests that failed, cancelled ones left out.");
        _slotReductions = _meter.CreateCounter<long>("medvlm.slots.reductions", "{reduction}", "Times that slots were given up for want of memory.");
        _visionReductions = _meter.CreateCounter<long>("medvlm.vision_run.reductions", "{reduction}",
            "Times that runs of the vision tower for several images were made smaller for want of memory.");

        Observe("medvlm.queue.length", "{request}", "Requests that wait for a slot.", engine => engine.Gate.Waiting + engine.QueueLength);
        Observe("medvlm.slots.used", "{slot}", "Slots that a caption is decoded in.", engine => engine.Running);
        Observe("medvlm.slots.limit", "{slot}", "Slots that there are.", engine => engine.Slots);
        Observe("medvlm.vision_cache.size", "By", "Image features that are kept for images that come again.", engine => engine.VisionCache.Bytes);
        _meter.CreateObservableCounter("medvlm.vision_cache.hits", () => Now(engine => engine.VisionCache.Hits), "{request}",
            "Requests whose image features were there, or under way.");
        _meter.CreateObservableCounter("medvlm.vision_cache.misses", () => Now(engine => engine.VisionCache.Misses), "{request}",
            "Requests whose image features had to be computed.");
    }

    /// <summary>Reports on this engine from now on.</summary>
    public void Watch(Engine engine) => _engine = engine;

    /// <summary>A request has ended.</summary>
    /// <param name="start">When it began, as a timestamp of <see cref="Stopwatch"/>.</param>
    /// <param name="images">Images that it brought.</param>
    /// <param name="generation">Its way through the engine; null if it did not get there.</param>
    /// <param name="error">Why it did not get there, or ended without a caption.</param>
    public void Ended(long start, int images, Generation? generation, Exception? error)
    {
        if (generation?.Tokens > 0)
        {
            _images.Add(images, _tags);
            _request.Record(Stopwatch.GetElapsedTime(start, generation.EndedAt).TotalSeconds, _tags);
            _firstToken.Record(Stopwatch.GetElapsedTime(start, generation.FirstTokenAt).TotalSeconds, _tags);
            if (generation.Tokens > 1)
                _nextTokens.Record(Stopwatch.GetElapsedTime(generation.FirstTokenAt, generation.EndedAt).TotalSeconds / (generation.Tokens - 1), _tags);
            return;
        }

        // A reader that left had what it wanted.
        if ((error ?? generation?.Error) is not { } reason || !(_request.Enabled || _failures.Enabled))
            return;
        var tags = _tags;
        tags.Add(GenAi.ErrorType, GenAi.ErrorTypeOf(reason));
        _request.Record(Stopwatch.GetElapsedTime(start).TotalSeconds, tags);
        if (reason is not OperationCanceledException)
            _failures.Add(1, tags);
    }

    /// <summary>Memory did not suffice, and the engine goes on with fewer slots.</summary>
    /// <param name="from">Slots before.</param>
    /// <param name="to">Slots from now on.</param>
    public void SlotsReduced(int from, int to) => Reduced(_slotReductions, "medvlm.slots.before", from, "medvlm.slots.after", to);

    /// <summary>Memory did not suffice for a run of the vision tower, and the engine goes on with smaller ones.</summary>
    /// <param name="from">Images of the run that was too large.</param>
    /// <param name="to">Those of them that the next run is for.</param>
    public void VisionRunReduced(int from, int to) =>
        Reduced(_visionReductions, "medvlm.vision_run.before", from, "medvlm.vision_run.after", to);

    void Reduced(Counter<long> counter, string before, int from, string after, int to)
    {
        if (!counter.Enabled)
            return;
        var tags = _tags;
        tags.Add(before, from);
        tags.Add(after, to);
        counter.Add(1, tags);
    }

    /// <summary>Reports nothing any more. A meter of a factory lives on with that.</summary>
    public void Dispose()
    {
        _engine = null;
        _meter.Dispose();
    }

    void Observe(string name, string unit, string description, Func<Engine, long> value) =>
        _meter.CreateObservableUpDownCounter(name, () => Now(value), unit, description);

    IEnumerable<Measurement<long>> Now(Func<Engine, long> value) => _engine is { } engine ? [new(value(engine), _tags)] : [];
}
