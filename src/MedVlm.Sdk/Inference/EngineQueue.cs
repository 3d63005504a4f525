using System.Diagnostics.CodeAnalysis;

namespace MedVlm.Inference;

/// <summary>Captions that are made ready and wait for the engine, taken in turn of their callers.</summary>
internal sealed class EngineQueue
{
    readonly object _lock = new();
    readonly RoundRobin<Generation> _waiting = new();
    Exception? _closed;

    public int Count
    {
        get
        {
            lock (_lock)
                return _waiting.Count;
        }
    }

    /// <exception cref="Exception">That with which the queue was closed.</exception>
    public void Add(Generation generation)
    {
        lock (_lock)
        {
            if (_closed is not null)
                throw _closed;
            _waiting.Add(generation.Caller, generation);
            Monitor.PulseAll(_lock);
        }

        // A caption that nobody waits for any more gives its images back at once, not at its turn.
        if (generation.CancellationToken.CanBeCanceled)
            generation.CancellationToken.UnsafeRegister(_ =>
            {
                bool removed;
                lock (_lock)
                    removed = _waiting.Remove(generation.Caller, generation);
                if (removed)
                    generation.Fail(new OperationCanceledException(generation.CancellationToken));
            }, null);
    }

    /// <summary>Takes the next one; with a condition, only if it meets that.</summary>
    public bool TryTake([NotNullWhen(true)] out Generation? generation, Predicate<Generation>? condition = null)
    {
        lock (_lock)
            return _waiting.TryTake(out generation, condition);
    }

    /// <summary>Waits for the next one and takes it.</summary>
    /// <returns>False if the queue is closed and empty.</returns>
    public bool WaitAndTake([NotNullWhen(true)] out Generation? generation)
    {
        lock (_lock)
        {
            while (!_waiting.TryTake(out generation))
            {
                if (_closed is not null)
                    return false;
                Monitor.Wait(_lock);
            }
            return true;
        }
    }

    /// <summary>Takes no more, and ends the waiting.</summary>
    /// <returns>False if it was closed already.</returns>
    public bool Close(Exception error)
    {
        lock (_lock)
        {
            if (_closed is not null)
                return false;
            _closed = error;
            Monitor.PulseAll(_lock);
            return true;
        }
    }
}
