using System.Runtime.InteropServices;
using MedVlm.Checkpoints;

namespace MedVlm.Inference;

/// <summary>
/// An owner's hold on what the vision tower makes of a caption's images. It lies outside the garbage collector's heap, and is freed when the last of
/// its owners disposes their hold: the captions that wait for it or take it in, and the cache.
/// </summary>
/// <remarks>An owner gives others a hold of their own (<see cref="Share"/>), never its own. They must not change once they are shared.</remarks>
internal sealed class VisionFeatures : IDisposable
{
    readonly int _values;
    Shared? _shared;

    VisionFeatures(Shared shared, int values) => (_shared, _values) = (shared, values);

    /// <summary>The first owner's hold on new memory, not cleared.</summary>
    /// <param name="memory">Where it counts.</param>
    /// <param name="values">Numbers of the features.</param>
    /// <param name="crossBytes">Bytes of keys and values of the cross-attention; 0 without it, or where they are in a slot only.</param>
    public VisionFeatures(FeatureMemory memory, int values, long crossBytes = 0)
        : this(new Shared(memory, new NativeBuffer(checked((nuint)(sizeof(float) * (long)values + crossBytes)))), values) { }

    /// <summary>[features, width].</summary>
    public Span<float> Values => MemoryMarshal.Cast<byte, float>(Memory.Span[..(sizeof(float) * _values)]);

    /// <summary>Keys and values of the cross-attention, as <see cref="KvCache.Read"/> writes them.</summary>
    public Span<byte> Cross => Memory.Span[(sizeof(float) * _values)..];

    public long Bytes => Memory.Bytes;

    Shared Memory
    {
        get
        {
            var shared = _shared;
            ObjectDisposedException.ThrowIf(shared is null, this);
            return shared;
        }
    }

    /// <summary>A hold for one more owner.</summary>
    public VisionFeatures Share()
    {
        var shared = Memory;
        shared.AddOwner();
        return new VisionFeatures(shared, _values);
    }

    /// <summary>The features of one image of a joined run: a copy, or one more hold where they are all there are.</summary>
    /// <param name="first">Its first number.</param>
    /// <param name="values">How many numbers.</param>
    public VisionFeatures Cut(int first, int values)
    {
        if (values == _values)
            return Share();
        var cut = new VisionFeatures(Memory.Place, values);
        Values.Slice(first, values).CopyTo(cut.Values);
        return cut;
    }

    /// <summary>The owner lets go, once however often it is called.</summary>
    public void Dispose() => Interlocked.Exchange(ref _shared, null)?.RemoveOwner();

    /// <summary>The memory and how many have a hold on it. An owner that is forgotten leaves it to the buffer's finalizer, and it still counts as used.</summary>
    sealed class Shared
    {
        readonly NativeBuffer _buffer;
        int _owners = 1;

        public Shared(FeatureMemory place, NativeBuffer buffer)
        {
            (Place, _buffer) = (place, buffer);
            Place.Count(Bytes);
        }

        public FeatureMemory Place { get; }

        public long Bytes => (long)_buffer.Length;

        public unsafe Span<byte> Span => new(_buffer.Data, checked((int)_buffer.Length));

        public void AddOwner() => Interlocked.Increment(ref _owners);

        public void RemoveOwner()
        {
            if (Interlocked.Decrement(ref _owners) > 0)
                return;
            Place.Count(-Bytes);
            _buffer.Dispose();
        }
    }
}

/// <summary>Counts the memory of a model's image features.</summary>
internal sealed class FeatureMemory
{
    long _used;

    /// <summary>Bytes that captions and the cache have a hold on.</summary>
    public long Used => Interlocked.Read(ref _used);

    internal void Count(long bytes) => Interlocked.Add(ref _used, bytes);
}
