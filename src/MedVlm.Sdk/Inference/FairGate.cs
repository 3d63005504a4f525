namespace MedVlm.Inference;

/// <summary>
/// Lets so many captions in, and the others in turn of their callers (<see cref="RoundRobin{T}"/>). What is behind it, decoded images above
/// all, is bounded by its places, however many callers there are.
/// </summary>
/// <param name="places">Captions that may be in at once.</param>
internal sealed class FairGate(int places)
{
    readonly Lock _lock = new();
    readonly RoundRobin<Waiter> _waiting = new();
    Exception? _closed;
    int _free = places;

    /// <summary>Captions that wait outside.</summary>
    public int Waiting
    {
        get
        {
            lock (_lock)
                return _waiting.Count;
        }
    }

    /// <summary>Places that nobody has.</summary>
    public int Free
    {
        get
        {
            lock (_lock)
                return _free;
        }
    }

    /// <summary>Waits for a place.</summary>
    /// <param name="caller">Whose turn it is to be.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>The place; dispose it to let the next one in.</returns>
    public async ValueTask<Place> EnterAsync(object caller, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Waiter waiter;
        lock (_lock)
        {
            if (_closed is not null)
                throw _closed;
            if (_free > 0)
            {
                _free--;
                return new Place(this);
            }
            _waiting.Add(caller, waiter = new Waiter());
        }

        using var onCancel = cancellationToken.UnsafeRegister(_ =>
        {
            bool removed;
            lock (_lock)
                removed = _waiting.Remove(caller, waiter);
            if (removed)
                waiter.Entered.SetCanceled(cancellationToken);
        }, null);
        return await waiter.Entered.Task.ConfigureAwait(false);
    }

    /// <summary>Lets nobody in any more.</summary>
    public void Close(Exception error)
    {
        var left = new List<Waiter>();
        lock (_lock)
        {
            _closed ??= error;
            while (_waiting.TryTake(out var waiter))
                left.Add(waiter);
        }
        foreach (var waiter in left)
            waiter.Entered.SetException(error);
    }

    void Leave()
    {
        Waiter? next;
        lock (_lock)
            if (!_waiting.TryTake(out next))
                _free++;
        next?.Entered.SetResult(new Place(this));
    }

    sealed class Waiter
    {
        public TaskCompletionSource<Place> Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>A place behind the gate, given back once however often it is disposed.</summary>
    public sealed class Place(FairGate gate) : IDisposable
    {
        FairGate? _gate = gate;

        public void Dispose() => Interlocked.Exchange(ref _gate, null)?.Leave();
    }
}
