using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace MedVlm.Tests.Telemetry;

/// <summary>Keeps all measurements of one meter factory, and all spans of one source.</summary>
internal sealed class TelemetryRecorder : IDisposable
{
    readonly MeterListener _meters = new();
    readonly ActivityListener _activities;
    readonly ConcurrentQueue<Recorded> _measurements = [];
    readonly ConcurrentQueue<Activity> _spans = [];

    /// <param name="isMeter">Which meters: those of one container are told by their scope.</param>
    /// <param name="source">Name of the activity source.</param>
    public TelemetryRecorder(Predicate<Meter> isMeter, string source)
    {
        _meters.InstrumentPublished = (instrument, listener) =>
        {
            if (!isMeter(instrument.Meter))
                return;
            Instruments.Enqueue(instrument);
            listener.EnableMeasurementEvents(instrument);
        };
        _meters.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
        _meters.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Add(instrument, value, tags));
        _meters.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _meters.Start();

        _activities = new ActivityListener
        {
            ShouldListenTo = listened => listened.Name == source,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = _spans.Enqueue,
        };
        ActivitySource.AddActivityListener(_activities);
    }

    public ConcurrentQueue<Instrument> Instruments { get; } = [];

    public IReadOnlyList<Activity> Spans => [.. _spans];

    /// <summary>Everything that was recorded of an instrument; what is observable is asked for now.</summary>
    public IReadOnlyList<Recorded> this[string instrument]
    {
        get
        {
            _meters.RecordObservableInstruments();
            return [.. _measurements.Where(measurement => measurement.Instrument == instrument)];
        }
    }

    /// <summary>Every text that went out, in whatever place.</summary>
    public IEnumerable<string> Texts => _measurements.SelectMany(measurement => measurement.Tags.Values)
        .Concat(_spans.SelectMany(span => span.TagObjects.Select(tag => tag.Value).Append(span.DisplayName).Append(span.StatusDescription)))
        .Select(value => value is string[] list ? string.Join(' ', list) : $"{value}");

    public void Dispose()
    {
        _meters.Dispose();
        _activities.Dispose();
    }

    void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        _measurements.Enqueue(new Recorded(instrument.Name, value, tags.ToArray().ToDictionary()));
}

internal sealed record Recorded(string Instrument, double Value, IReadOnlyDictionary<string, object?> Tags);
