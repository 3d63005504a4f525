using System.Diagnostics.CodeAnalysis;

namespace MedVlm.Inference;

/// <summary>
/// A queue in which callers take turns: one of each caller's, in the order in which they came, and only then the next of the first. So a
/// batch of thousands and a single caption wait for each other no longer than for one of the other's.
/// </summary>
/// <remarks>Not thread-safe.</remarks>
internal sealed class RoundRobin<T> where T : class
{
    readonly LinkedList<Turn> _turns = new();
    readonly Dictionary<object, LinkedListNode<Turn>> _callers = new(ReferenceEqualityComparer.Instance);

    sealed record Turn(object Caller, LinkedList<T> Items);

    public int Count { get; private set; }

    public void Add(object caller, T item)
    {
        if (!_callers.TryGetValue(caller, out var turn))
            _callers.Add(caller, turn = _turns.AddLast(new Turn(caller, new LinkedList<T>())));
        turn.Value.Items.AddLast(item);
        Count++;
    }

    /// <summary>Takes the next item; with a condition, only if it meets that.</summary>
    public bool TryTake([NotNullWhen(true)] out T? item, Predicate<T>? condition = null)
    {
        item = _turns.First?.Value.Items.First!.Value;
        if (item is null || condition?.Invoke(item) == false)
            return false;

        var turn = _turns.First!;
        _turns.RemoveFirst();
        turn.Value.Items.RemoveFirst();
        Count--;
        if (turn.Value.Items.Count > 0)
            _turns.AddLast(turn);
        else
            _callers.Remove(turn.Value.Caller);
        return true;
    }

    /// <summary>Takes an item out of its turn.</summary>
    /// <returns>Whether it was there.</returns>
    public bool Remove(object caller, T item)
    {
        if (!_callers.TryGetValue(caller, out var turn) || !turn.Value.Items.Remove(item))
            return false;

        Count--;
        if (turn.Value.Items.Count == 0)
        {
            _turns.Remove(turn);
            _callers.Remove(caller);
        }
        return true;
    }
}
