using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;

namespace MedVlm.Inference;

/// <summary>
/// What the vision stage has in hand: runs that are still to be made, in order; one that waits for memory, before which none of the others
/// begins; and captions whose image features are there. Under one lock, as the stage may work on a thread of its own.
/// </summary>
internal sealed class VisionWork
{
    readonly object _lock = new();
    readonly LinkedList<List<Generation>> _runs = new();
    readonly Queue<Generation> _ready = new();
    readonly int _mostReady;
    readonly CancellationToken _stopping;

    List<Generation>? _starved;
    ExceptionDispatchInfo? _error;
    bool _tryingAgain, _ended;

    /// <param name="mostReady">Captions whose features may be there before they are taken: whoever adds more waits.</param>
    /// <param name="stopping">Ends all waiting.</param>
    public VisionWork(int mostReady, CancellationToken stopping)
    {
        (_mostReady, _stopping) = (mostReady, stopping);
        stopping.UnsafeRegister(_ =>
        {
            lock (_lock)
                Monitor.PulseAll(_lock);
        }, null);
    }

    /// <summary>Puts a run before all others.</summary>
    public void AddRun(List<Generation> run)
    {
        lock (_lock)
            _runs.AddFirst(run);
    }

    /// <summary>Takes the next run, unless one waits for memory.</summary>
    public bool TryTakeRun([NotNullWhen(true)] out List<Generation>? run)
    {
        lock (_lock)
        {
            run = _starved is null && !_tryingAgain ? _runs.First?.Value : null;
            if (run is not null)
                _runs.RemoveFirst();
            return run is not null;
        }
    }

    /// <summary>Takes the next run; waits while one needs memory.</summary>
    /// <returns>False if there is none, or all work ends.</returns>
    public bool WaitAndTakeRun([NotNullWhen(true)] out List<Generation>? run)
    {
        lock (_lock)
        {
            while ((_starved is not null || _tryingAgain) && !_stopping.IsCancellationRequested)
                Monitor.Wait(_lock);
            return TryTakeRun(out run);
        }
    }

    /// <summary>Memory has not sufficed for a run: it waits, and the others behind it, until the engine takes it or nobody wants it any more.</summary>
    public void Starve(List<Generation> run)
    {
        List<Generation> waiting;
        lock (_lock)
        {
            _starved = run;
            waiting = [.. run, .. _runs.SelectMany(other => other)];
            Monitor.PulseAll(_lock);
        }

        // It may take long: a caption that nobody waits for any more gives its images back at once.
        foreach (var generation in waiting)
            generation.CancellationToken.UnsafeRegister(_ => Withdraw(generation), null);
    }

    /// <summary>Takes the run that waits for memory. Until <see cref="Resume"/> no other begins.</summary>
    public bool TryTakeStarved([NotNullWhen(true)] out List<Generation>? run)
    {
        lock (_lock)
        {
            (run, _starved) = (_starved, null);
            return _tryingAgain = run is not null;
        }
    }

    /// <summary>It has been tried again: the others may go on.</summary>
    public void Resume()
    {
        lock (_lock)
        {
            _tryingAgain = false;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>A caption's features are there.</summary>
    /// <exception cref="OperationCanceledException">All work ends.</exception>
    public void AddReady(Generation generation)
    {
        lock (_lock)
        {
            // What is tried again is added by the engine, which cannot wait for itself to take it.
            while (_ready.Count >= _mostReady && !_tryingAgain && !_stopping.IsCancellationRequested)
                Monitor.Wait(_lock);
            _stopping.ThrowIfCancellationRequested();
            _ready.Enqueue(generation);
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Takes the next caption whose features are there.</summary>
    /// <param name="wait">Whether to wait for one.</param>
    /// <param name="needsMemory">Whether there is none because a run waits for memory.</param>
    /// <returns>Null if there is none; after waiting, if there will be none before memory is found, or never.</returns>
    /// <exception cref="Exception">That by which the work ended.</exception>
    public Generation? TakeReady(bool wait, out bool needsMemory)
    {
        lock (_lock)
        {
            while (wait && _ready.Count == 0 && _starved is null && !_ended)
                Monitor.Wait(_lock);
            bool taken = _ready.TryDequeue(out var generation);
            needsMemory = !taken && _starved is not null;
            if (taken)
                Monitor.PulseAll(_lock);
            else
                _error?.Throw();
            return generation;
        }
    }

    /// <summary>Nothing comes any more.</summary>
    /// <param name="error">Why, if by an error.</param>
    public void End(Exception? error = null)
    {
        lock (_lock)
        {
            _ended = true;
            _error = error is null ? null : ExceptionDispatchInfo.Capture(error);
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Takes all captions that are left, wherever they wait.</summary>
    public List<Generation> TakeAll()
    {
        lock (_lock)
        {
            List<Generation> all = [.. _ready, .. _starved ?? [], .. _runs.SelectMany(run => run)];
            _ready.Clear();
            _starved = null;
            _runs.Clear();
            return all;
        }
    }

    void Withdraw(Generation generation)
    {
        lock (_lock)
        {
            if (_starved?.Remove(generation) == true)
            {
                if (_starved.Count == 0)
                    _starved = null;
                Monitor.PulseAll(_lock);
            }
            else if (_runs.FirstOrDefault(run => run.Contains(generation)) is { } run)
            {
                run.Remove(generation);
                if (run.Count == 0)
                    _runs.Remove(run);
            }
            else
                return;   // under way, or done
        }
        generation.Fail(new OperationCanceledException(generation.CancellationToken));
    }
}
