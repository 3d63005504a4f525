using System.Diagnostics;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>
/// From captions that wait to captions whose image features are there: takes them in turn of their callers, runs the vision tower once for
/// images that go into one run, and once for the same image, however often it waits. Where memory does not suffice for a run of several
/// images, runs are smaller from then on; where not for one image, that waits for the engine to find some (<see cref="NeedsMemory"/>).
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
    readonly EngineHooks _hooks;
    readonly VisionWork _work;
    readonly CancellationToken _stopping;
    readonly int _most;
    readonly Task? _ahead;
    long _runValues;
    volatile Exception? _endsBy;

    /// <param name="model">The model.</param>
    /// <param name="queue">Captions that wait.</param>
    /// <param name="cache">Features of images seen lately.</param>
    /// <param name="times">Where the time of runs is added.</param>
    /// <param name="most">Captions whose features may be there before they are taken.</param>
    /// <param name="runValues">Values that a run for several images may take in: its workspace is proportional to them.</param>
    /// <param name="ahead">Whether to work ahead, on a thread of its own.</param>
    /// <param name="hooks">Who is told of what.</param>
    /// <param name="stopping">Ends all work.</param>
    public VisionStage(
        LoadedModel model, EngineQueue queue, VisionCache cache, EngineTimes times, int most, long runValues, bool ahead, EngineHooks hooks,
        CancellationToken stopping)
    {
        (_model, _queue, _cache, _times, _most, _runValues, _hooks, _stopping) = (model, queue, cache, times, most, runValues, hooks, stopping);
        _work = new VisionWork(ahead ? most : int.MaxValue, stopping);
        if (ahead)
            _ahead = Task.Factory.StartNew(WorkAhead, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    // With cross-attention the tower writes keys and values into a slot, so there must be one: the engine runs it there.
    bool SeesIntoSlot => _model.Family.Shape.CrossLength > 0;

    /// <summary>Whether the last <see cref="Take"/> found none because memory has not sufficed for a run: <see cref="TryAgain"/> when there is more.</summary>
    public bool NeedsMemory { get; private set; }

    /// <summary>The next caption whose image features are there, or, with cross-attention, are to be made in its slot.</summary>
    /// <param name="wait">Whether to wait for one.</param>
    /// <returns>Null if there is none; after waiting, if there will never be one, or not before there is more memory.</returns>
    public Generation? Take(bool wait)
    {
        while (true)
        {
            var ready = _work.TakeReady(wait && _ahead is not null, out bool needsMemory);
            NeedsMemory = needsMemory;
            if (ready is not null || needsMemory || _ahead is not null)
                return ready;

            if (_work.TryTakeRun(out var batch))
                Run(Cut(batch));
            else if (wait ? _queue.WaitAndTake(out var first) : _queue.TryTake(out first))
                AddWithOthers(first);
            else
                return null;
        }
    }

    /// <summary>Makes the run that memory has not sufficed for once more, on the caller's thread. What does not fit now fails.</summary>
    /// <returns>Whether it fits.</returns>
    public bool TryAgain()
    {
        if (!_work.TryTakeStarved(out var batch))
            return false;   // nobody waits for it any more
        try
        {
            return Run(batch, again: true);
        }
        finally
        {
            _work.Resume();
        }
    }

    /// <summary>Before the stop: what captions under way are told.</summary>
    public void EndsBy(Exception error) => _endsBy = error;

    /// <summary>After the stop: waits for its thread, and fails what nobody will take.</summary>
    public void End(Exception error)
    {
        _ahead?.GetAwaiter().GetResult();
        foreach (var generation in _work.TakeAll())
            generation.Fail(error);
    }

    void WorkAhead()
    {
        try
        {
            while (_queue.WaitAndTake(out var first))
            {
                AddWithOthers(first);
                while (_work.WaitAndTakeRun(out var batch))
                    Run(Cut(batch));
            }
            _work.End();
        }
        catch (Exception e)
        {
            // No caption's own: the engine ends by it when it next looks for one.
            _work.End(e);
        }
    }

    void AddWithOthers(Generation first)
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
        _work.AddRun(batch);
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
    }

    static long Values(Generation generation) => generation.Inputs.Vision.Sum(run => run.Values);

    /// <summary>A caption of each image, in order.</summary>
    static List<Generation> Images(List<Generation> batch) => [.. batch.DistinctBy(generation => generation.ImageKey ?? (object)generation)];

    /// <summary>As many images of a batch as one run may be for, at least one; the others are the next run.</summary>
    List<Generation> Cut(List<Generation> batch)
    {
        var images = Images(batch);
        int count = Fitting(images);
        if (count == images.Count)
            return batch;

        var now = images[..count];
        var of = batch.ToLookup(generation => now.Exists(image => image == generation || image.ImageKey is { } key && generation.ImageKey == key));
        _work.AddRun([.. of[false]]);
        return [.. of[true]];
    }

    /// <summary>How many images, from the first on, may go into one run.</summary>
    int Fitting(List<Generation> images)
    {
        int count = 1;
        for (long values = Values(images[0]); count < images.Count && (values += Values(images[count])) <= _runValues; count++) ;
        return count;
    }

    /// <param name="batch">Captions of images that go into one run.</param>
    /// <param name="again">Whether it has waited for memory, and has all that there is.</param>
    /// <returns>Whether their features are there.</returns>
    bool Run(List<Generation> batch, bool again = false)
    {
        foreach (var generation in batch)
            generation.Begin();
        try
        {
            Compute(batch);
            return true;
        }
        catch (Exception e) when (!again && EngineErrors.IsOutOfMemory(e) && !_stopping.IsCancellationRequested)
        {
            GoOnWithLess(batch);
        }
        catch (Exception e) when (batch.Count > 1 && !EngineErrors.IsOutOfMemory(e) && !_stopping.IsCancellationRequested)
        {
            // Whose fault it is shows when each runs alone.
            foreach (var generation in Enumerable.Reverse(batch))
                _work.AddRun([generation]);
        }
        catch (Exception e)
        {
            Fail(batch, e);
        }
        return false;
    }

    /// <summary>Memory has not sufficed for a run: half of it is tried, now and in all runs to come. One image waits until there is more.</summary>
    void GoOnWithLess(List<Generation> batch)
    {
        var images = Images(batch);
        if (images.Count == 1)
        {
            _work.Starve(batch);
            return;
        }

        _runValues = images.Sum(Values) / 2;
        int fitting = Fitting(images);
        _work.AddRun(batch);
        _hooks.TellVisionRunReduced(images.Count, fitting);
    }

    void Fail(List<Generation> batch, Exception e)
    {
        foreach (var generation in batch)
            generation.Fail(_endsBy is { } error && !generation.CancellationToken.IsCancellationRequested
                ? error
                : EngineErrors.Of(generation, e, "vision", _stopping.IsCancellationRequested));
    }

    void Compute(List<Generation> batch)
    {
        _stopping.ThrowIfCancellationRequested();
        if (batch is [{ CancellationToken.IsCancellationRequested: true } gone])
            throw new OperationCanceledException(gone.CancellationToken);

        if (SeesIntoSlot)
        {
            batch[0].Wait();
            _work.AddReady(batch[0]);
            return;
        }

        long start = Stopwatch.GetTimestamp();
        if (batch is [var one] && _cache.Contains(one.ImageKey) && _cache.TryGet(one.ImageKey, out var known))
        {
            Hand(one, known);
            return;
        }

        // Each image once, and one run for all of them.
        var images = Images(batch);
        using var all = Run(images.Count == 1 ? images[0].Inputs.Vision : [Joined(images)], batch, images.Count);
        _cache.Count(hits: batch.Count - images.Count, misses: images.Count);

        var elapsed = Stopwatch.GetElapsedTime(start);
        int first = 0;
        foreach (var image in images)
        {
            int length = VisionGraph.Length(_model.Family, image.Inputs.Vision);
            using var features = all.Cut(first, length);
            first += length;
            _cache.Add(image.ImageKey, features);
            foreach (var generation in batch.FindAll(one => one == image || image.ImageKey is { } key && one.ImageKey == key))
            {
                generation.Vision = elapsed;
                Hand(generation, features.Share());
                batch.Remove(generation);   // whatever happens to the others, it is the engine's
            }
        }
    }

    Models.VisionRun Joined(List<Generation> images) =>
        JoinedVisionRun.Join([.. images.SelectMany(image => image.Inputs.Vision)], _model.Family.SharedVisionInputs!);

    VisionFeatures Run(IReadOnlyList<Models.VisionRun> runs, List<Generation> batch, int images)
    {
        var features = new VisionFeatures(_model.Features, VisionGraph.Length(_model.Family, runs));
        try
        {
            Run(runs, features, batch, images);
            return features;
        }
        catch
        {
            features.Dispose();
            throw;
        }
    }

    void Run(IReadOnlyList<Models.VisionRun> runs, VisionFeatures features, List<Generation> batch, int images)
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
            _hooks.BeforeRun?.Invoke("vision", images);
            VisionGraph.Run(_model.Vision, _model.Family, runs, features.Values, null, 0, runOptions, ending.Token);
        }
        finally
        {
            _times.AddVision(Stopwatch.GetElapsedTime(start));
            foreach (var registration in onCancel)
                registration.Dispose();
        }

        bool AllGone() => batch.TrueForAll(generation => generation.CancellationToken.IsCancellationRequested);
    }

    /// <summary>Hands a caption its own hold on its features, and both on to the engine.</summary>
    void Hand(Generation generation, VisionFeatures features)
    {
        generation.Features = features;
        generation.Trace?.Vision = [.. generation.Inputs.Vision.Select(run => run.Made())];
        generation.ReleaseImages();
        generation.Wait();
        _work.AddReady(generation);
    }
}
