using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>
/// From captions that wait to captions whose image features are there: takes them in turn of their callers, runs the vision tower once for
/// images that go into one run, and once for the same image, however often it waits.
/// </summary>
/// <remarks>
/// It works when the engine asks, on the engine's thread, or ahead of it on a thread of its own. On a CPU the two would share the same cores:
/// measured there, vision beside decode steps is up to 15 % slower than between them (docs/performance.md).
/// </remarks>
internal sealed class VisionStage
{
    readonly LoadedModel _model;
    readonly EngineQueue _queue;
    readonly VisionCache _cache;
    readonly EngineTimes _times;
    readonly CancellationToken _stopping;
    readonly int _most;
    readonly long _runValues;

    // Done, and not taken yet.
    readonly BlockingCollection<Generation> _ready;
    readonly Task? _ahead;

    /// <param name="model">The model.</param>
    /// <param name="queue">Captions that wait.</param>
    /// <param name="cache">Features of images seen lately.</param>
    /// <param name="times">Where the time of runs is added.</param>
    /// <param name="most">Captions whose features may be there before they are taken.</param>
    /// <param name="runValues">Values that a run for several images may take in: its workspace is proportional to them.</param>
    /// <param name="ahead">Whether to work ahead, on a thread of its own.</param>
    /// <param name="stopping">Ends all work.</param>
    public VisionStage(
        LoadedModel model, EngineQueue queue, VisionCache cache, EngineTimes times, int most, long runValues, bool ahead, CancellationToken stopping)
    {
        (_model, _queue, _cache, _times, _most, _runValues, _stopping) = (model, queue, cache, times, most, runValues, stopping);
        _ready = ahead ? new BlockingCollection<Generation>(most) : [];
        if (ahead)
            _ahead = Task.Factory.StartNew(WorkAhead, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    // With cross-attention the tower writes keys and values into a slot, so there must be one: the engine runs it there.
    bool SeesIntoSlot => _model.Family.Shape.CrossLength > 0;

    /// <summary>The next caption whose image features are there, or, with cross-attention, are to be made in its slot.</summary>
    /// <param name="wait">Whether to wait for one.</param>
    /// <returns>Null if there is none; after waiting, if there will never be one.</returns>
    public Generation? Take(bool wait)
    {
        Generation? ready;
        if (_ahead is not null)
            return _ready.TryTake(out ready, wait ? Timeout.Infinite : 0) ? ready : null;

        while (!_ready.TryTake(out ready))
            if (wait ? _queue.WaitAndTake(out var first) : _queue.TryTake(out first))
                RunWithOthers(first);
            else
                return null;
        return ready;
    }

    /// <summary>After the stop: waits for its thread, and fails what nobody will take.</summary>
    public void End(Exception error)
    {
        _ahead?.GetAwaiter().GetResult();
        while (_ready.TryTake(out var generation))
            generation.Fail(error);
        _ready.Dispose();
    }

    void WorkAhead()
    {
        try
        {
            while (_queue.WaitAndTake(out var first))
                RunWithOthers(first);
        }
        finally
        {
            _ready.CompleteAdding();
        }
    }

    void RunWithOthers(Generation first)
    {
        List<Generation> batch = [first];
        try
        {
            Join(batch);
        }
        catch (Exception e)
        {
            // Taken from the queue, they are nobody else's to end.
            Fail(batch, e);
            return;
        }
        Run(batch);
    }

    /// <summary>Takes the next captions that go into one run with the first: the same image, or such as stack with it.</summary>
    void Join(List<Generation> batch)
    {
        var first = batch[0];
        if (SeesIntoSlot || _cache.Contains(first.ImageKey))
            return;

        long values = Values(first);
        while (batch.Count < _most && _queue.TryTake(out var next, Joins))
        {
            if (!IsThere(next))
                values += Values(next);
            batch.Add(next);
        }

        bool IsThere(Generation generation) => generation.ImageKey is { } key && batch.Exists(other => other.ImageKey == key);

        bool Joins(Generation next) => !_cache.Contains(next.ImageKey)
            && (IsThere(next)
                || _model.Family.SharedVisionInputs is { } shared && values + Values(next) <= _runValues
                && first.Inputs.Vision.Skip(1).Concat(next.Inputs.Vision).All(run => JoinedVisionRun.CanJoin(first.Inputs.Vision[0], run, shared)));

        static long Values(Generation generation) => generation.Inputs.Vision.Sum(JoinedVisionRun.Values);
    }

    void Run(List<Generation> batch)
    {
        foreach (var generation in batch)
            generation.Begin();
        try
        {
            Compute(batch);
        }
        catch (Exception) when (batch.Count > 1 && !_stopping.IsCancellationRequested)
        {
            // Whose fault it is shows when each runs alone.
            foreach (var generation in batch)
                Run([generation]);
        }
        catch (Exception e)
        {
            Fail(batch, e);
        }
    }

    void Fail(List<Generation> batch, Exception e)
    {
        foreach (var generation in batch)
            generation.Fail(EngineErrors.Of(generation, e, "vision", _stopping.IsCancellationRequested));
    }

    void Compute(List<Generation> batch)
    {
        _stopping.ThrowIfCancellationRequested();
        if (batch is [{ CancellationToken.IsCancellationRequested: true } gone])
            throw new OperationCanceledException(gone.CancellationToken);

        if (SeesIntoSlot)
        {
            batch[0].Wait();
            _ready.Add(batch[0], _stopping);
            return;
        }

        long start = Stopwatch.GetTimestamp();
        if (batch is [var one] && _cache.TryGet(one.ImageKey, out var known))
        {
            Hand(one, known);
            return;
        }

        // Each image once.
        var images = batch.DistinctBy(generation => generation.ImageKey ?? (object)generation).ToList();
        var features = images.Count == 1 ? [Run(images[0].Inputs.Vision, batch)] : RunJoined(images, batch);
        if (batch.Count > 1)
            _cache.Count(hits: batch.Count - images.Count, misses: images.Count);

        var elapsed = Stopwatch.GetElapsedTime(start);
        foreach (var (image, made) in images.Zip(features))
        {
            _cache.Add(image.ImageKey, made);
            foreach (var generation in batch)
                if (generation == image || image.ImageKey is { } key && generation.ImageKey == key)
                {
                    generation.Vision = elapsed;
                    Hand(generation, made);
                }
        }
    }

    /// <summary>One run for all images, cut into the features of each.</summary>
    List<VisionFeatures> RunJoined(List<Generation> images, List<Generation> batch)
    {
        var joined = JoinedVisionRun.Join([.. images.SelectMany(image => image.Inputs.Vision)], _model.Family.SharedVisionInputs!);
        var all = Run([joined], batch).Features;

        var (features, first) = (new List<VisionFeatures>(), 0);
        foreach (var image in images)
        {
            int length = image.Inputs.Vision.Sum(run => run.Features) * _model.Family.FeatureWidth;
            features.Add(new VisionFeatures(all[first..(first + length)]));
            first += length;
        }
        return features;
    }

    VisionFeatures Run(IReadOnlyList<Models.VisionRun> runs, List<Generation> batch)
    {
        // Ended early only when nobody waits for any of it.
        using var runOptions = new RunOptions();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(_stopping);
        using var onEnd = ending.Token.Register(() => runOptions.Terminate = true);
        var onCancel = batch.ConvertAll(generation => generation.CancellationToken.Register(() =>
        {
            if (AllGone())
                ending.Cancel();
        }));
        long start = Stopwatch.GetTimestamp();
        try
        {
            return new VisionFeatures(VisionGraph.Run(_model.Vision, _model.Family, runs, null, 0, runOptions, ending.Token));
        }
        finally
        {
            _times.AddVision(Stopwatch.GetElapsedTime(start));
            foreach (var registration in onCancel)
                registration.Dispose();
        }

        bool AllGone() => batch.TrueForAll(generation => generation.CancellationToken.IsCancellationRequested);
    }

    void Hand(Generation generation, VisionFeatures features)
    {
        generation.Trace?.Vision = generation.Inputs.Vision;
        generation.Features = features;
        generation.ReleaseImages();
        generation.Wait();
        _ready.Add(generation, _stopping);
    }
}
