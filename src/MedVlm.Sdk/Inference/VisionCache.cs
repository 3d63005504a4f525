using System.Diagnostics.CodeAnalysis;

namespace MedVlm.Inference;

/// <summary>What the vision tower made of images seen lately, so that the same image need not go through it again. The least recently used goes first.</summary>
/// <param name="capacity">Bytes of features that it holds at most; 0 holds none.</param>
internal sealed class VisionCache(long capacity)
{
    readonly Lock _lock = new();
    readonly Dictionary<ImageKey, LinkedListNode<Entry>> _entries = [];
    readonly LinkedList<Entry> _recent = new();
    long _bytes, _hits, _misses;

    sealed record Entry(ImageKey Key, VisionFeatures Features);

    /// <summary>Whether anything is kept.</summary>
    public bool IsOn => capacity > 0;

    /// <summary>Bytes of the features that it holds.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>Images whose features were there.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>Images whose features were not there.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    public bool Contains(ImageKey? key)
    {
        if (key is null)
            return false;
        lock (_lock)
            return _entries.ContainsKey(key);
    }

    /// <param name="key">The image; null is never there, and does not count.</param>
    /// <param name="features">A hold on its features.</param>
    public bool TryGet(ImageKey? key, [NotNullWhen(true)] out VisionFeatures? features)
    {
        features = null;
        if (key is null)
            return false;

        lock (_lock)
        {
            if (!_entries.TryGetValue(key, out var entry))
            {
                _misses++;
                return false;
            }
            _hits++;
            _recent.Remove(entry);
            _recent.AddFirst(entry);
            features = entry.Value.Features.Share();
            return true;
        }
    }

    /// <summary>Keeps features by a hold of its own, unless they are larger than the whole cache.</summary>
    public void Add(ImageKey? key, VisionFeatures features)
    {
        if (key is null || features.Bytes > capacity)
            return;

        lock (_lock)
        {
            if (_entries.ContainsKey(key))
                return;
            _entries.Add(key, _recent.AddFirst(new Entry(key, features.Share())));
            for (_bytes += features.Bytes; _bytes > capacity; _recent.RemoveLast())
            {
                var last = _recent.Last!.Value;
                _entries.Remove(last.Key);
                _bytes -= last.Features.Bytes;
                last.Features.Dispose();
            }
        }
    }

    /// <summary>Counts images that shared one run, without having been looked up.</summary>
    public void Count(int hits, int misses)
    {
        if (!IsOn)
            return;
        lock (_lock)
            (_hits, _misses) = (_hits + hits, _misses + misses);
    }

    public void Clear()
    {
        lock (_lock)
        {
            foreach (var entry in _recent)
                entry.Features.Dispose();
            _entries.Clear();
            _recent.Clear();
            _bytes = 0;
        }
    }
}
