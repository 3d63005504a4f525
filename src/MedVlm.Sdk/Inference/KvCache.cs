using MedVlm.Checkpoints;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace MedVlm.Inference;

/// <summary>
/// Keys and values of all slots: for each layer one buffer of keys and one of values, [slots, K, S, d]. A run reads the past and writes
/// the present in the same memory; slots lie one after another, so any run of slots is a slice.
/// </summary>
internal sealed class KvCache : IDisposable
{
    readonly DecoderShape _shape;
    readonly int _headSize;
    readonly NativeBuffer[] _keys;
    readonly NativeBuffer[] _values;

    /// <param name="shape">The decoder's sizes.</param>
    /// <param name="slots">Captions that it holds at once.</param>
    /// <param name="slotLength">S: tokens of the longest caption, prompt included.</param>
    public KvCache(DecoderShape shape, int slots, int slotLength) : this(shape, slots, slotLength, Graphs.Attention.CachedHeadSize(shape.HeadSize)) { }

    KvCache(DecoderShape shape, int slots, int slotLength, int headSize)
    {
        (_shape, Slots, SlotLength, _headSize) = (shape, slots, slotLength, headSize);
        _keys = new NativeBuffer[shape.Layers];
        _values = new NativeBuffer[shape.Layers];
        try
        {
            for (int i = 0; i < shape.Layers; i++)
                (_keys[i], _values[i]) = (Zeroed(), Zeroed());
        }
        catch (OutOfMemoryException)
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Keys and values of the images, for cross-attention: S is the image's features.</summary>
    public static KvCache OfImages(DecoderShape shape, int slots) => new(shape, slots, shape.CrossLength, shape.HeadSize);

    public int Slots { get; }

    public int SlotLength { get; }

    /// <summary>Bytes of one slot in all layers.</summary>
    public long BytesPerSlot => 2L * _shape.Layers * SlotBytes;

    long SlotBytes => (long)_shape.KeyValueHeads * SlotLength * _headSize * sizeof(float);

    /// <summary>The keys of some slots of a layer, [rows, K, S, d], as a view of the cache.</summary>
    public OrtValue Keys(int layer, int firstSlot, int rows) => View(_keys[layer], firstSlot, rows);

    /// <summary>The values of some slots of a layer, [rows, K, S, d], as a view of the cache.</summary>
    public OrtValue Values(int layer, int firstSlot, int rows) => View(_values[layer], firstSlot, rows);

    /// <summary>A copy of a slot's keys and of its values, for each layer [K, S, d].</summary>
    public (float[][] Keys, float[][] Values) Read(int slot) =>
        ([.. _keys.Select(keys => Slot(keys, slot).ToArray())], [.. _values.Select(values => Slot(values, slot).ToArray())]);

    /// <summary>Puts such a copy into a slot.</summary>
    public void Write(int slot, float[][] keys, float[][] values)
    {
        for (int layer = 0; layer < _shape.Layers; layer++)
        {
            keys[layer].CopyTo(Slot(_keys[layer], slot));
            values[layer].CopyTo(Slot(_values[layer], slot));
        }
    }

    unsafe Span<float> Slot(NativeBuffer buffer, int slot) => new(buffer.Data + slot * SlotBytes, checked((int)(SlotBytes / sizeof(float))));

    public void Dispose()
    {
        foreach (var buffer in (NativeBuffer?[])[.. _keys, .. _values])
            buffer?.Dispose();
    }

    unsafe NativeBuffer Zeroed()
    {
        var buffer = new NativeBuffer(checked((nuint)(Slots * SlotBytes)));
        System.Runtime.InteropServices.NativeMemory.Clear(buffer.Data, buffer.Length);
        return buffer;
    }

    unsafe OrtValue View(NativeBuffer buffer, int firstSlot, int rows) => OrtValue.CreateTensorValueWithData(
        OrtMemoryInfo.DefaultInstance, TensorElementType.Float, [rows, _shape.KeyValueHeads, SlotLength, _headSize],
        (nint)(buffer.Data + firstSlot * SlotBytes), rows * SlotBytes);
}
