using MedVlm.Graphs;
using MedVlm.Kernels;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>
/// Keys and values of all slots: for each layer one buffer of keys and one of values, [slots, K, S, d]. A run reads the past and writes
/// the present in the same memory; slots lie one after another, so any run of slots is a slice. A cache of uint8 holds bytes in place of d numbers:
/// those of <see cref="HeadPanels{T}"/>.
/// </summary>
internal sealed class KvCache : IDisposable
{
    readonly DecoderShape _shape;
    readonly DeviceMemory _memory;
    readonly ElementType _numbers;
    readonly int _rowLength;
    readonly (IDisposable Memory, nint Address)[] _keys;
    readonly (IDisposable Memory, nint Address)[] _values;

    /// <param name="shape">The decoder's sizes.</param>
    /// <param name="slots">Captions that it holds at once.</param>
    /// <param name="slotLength">S: tokens of the longest caption, prompt included.</param>
    /// <param name="numbers">What it holds: FP32, FP16, or uint8 for the integers of <see cref="IntegerGroupQueryAttentionOperator"/>.</param>
    /// <param name="memory">Where it lies.</param>
    public KvCache(DecoderShape shape, int slots, int slotLength, ElementType numbers, DeviceMemory memory)
        : this(shape, slots, slotLength, RowLength(shape.HeadSize, numbers), numbers, memory) { }

    KvCache(DecoderShape shape, int slots, int slotLength, int rowLength, ElementType numbers, DeviceMemory memory)
    {
        (_shape, Slots, SlotLength, _rowLength, _numbers, _memory) = (shape, slots, slotLength, rowLength, numbers, memory);
        _keys = new (IDisposable, nint)[shape.Layers];
        _values = new (IDisposable, nint)[shape.Layers];
        try
        {
            for (int i = 0; i < shape.Layers; i++)
            {
                _keys[i] = memory.Allocate(Slots * SlotBytes);
                _values[i] = memory.Allocate(Slots * SlotBytes);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Keys and values of the images, for cross-attention: S is the image's features.</summary>
    public static KvCache OfImages(DecoderShape shape, int slots, ElementType floats, DeviceMemory memory) =>
        new(shape, slots, shape.CrossLength, shape.HeadSize, floats, memory);

    /// <summary>Numbers of a token's key, or value, in one head.</summary>
    public static int RowLength(int headSize, ElementType numbers) =>
        numbers == ElementType.UInt8 ? (int)HeadPanels<Panel8>.RowBytes(headSize) : Attention.CachedHeadSize(headSize);

    public int Slots { get; }

    public int SlotLength { get; }

    /// <summary>Bytes of one slot in all layers.</summary>
    public long BytesPerSlot => 2L * _shape.Layers * SlotBytes;

    long SlotBytes => (long)_shape.KeyValueHeads * SlotLength * _rowLength * _numbers.Size();

    /// <summary>The keys of some slots of a layer, [rows, K, S, d], as a view of the cache.</summary>
    public OrtValue Keys(int layer, int firstSlot, int rows) => View(_keys[layer].Address, firstSlot, rows);

    /// <summary>The values of some slots of a layer, [rows, K, S, d], as a view of the cache.</summary>
    public OrtValue Values(int layer, int firstSlot, int rows) => View(_values[layer].Address, firstSlot, rows);

    /// <summary>Whether the host can read and write it.</summary>
    public bool IsOnHost => _memory.IsHost;

    /// <summary>Copies a slot's keys and values, <see cref="BytesPerSlot"/> bytes: [K, S, d] of each layer's keys, then of each layer's values. Only of a cache on the host.</summary>
    public void Read(int slot, Span<byte> destination)
    {
        foreach (var (_, address) in _keys.Concat(_values))
        {
            Slot(address, slot).CopyTo(destination);
            destination = destination[(int)SlotBytes..];
        }
    }

    /// <summary>Puts such a copy into a slot.</summary>
    public void Write(int slot, ReadOnlySpan<byte> copy)
    {
        foreach (var (_, address) in _keys.Concat(_values))
        {
            copy[..(int)SlotBytes].CopyTo(Slot(address, slot));
            copy = copy[(int)SlotBytes..];
        }
    }

    unsafe Span<byte> Slot(nint address, int slot) => new((byte*)address + slot * SlotBytes, checked((int)SlotBytes));

    public void Dispose()
    {
        foreach (var (memory, _) in _keys.Concat(_values))
            memory?.Dispose();
    }

    OrtValue View(nint address, int firstSlot, int rows) =>
        _memory.View((nint)(address + firstSlot * SlotBytes), _numbers, [rows, _shape.KeyValueHeads, SlotLength, _rowLength]);
}
