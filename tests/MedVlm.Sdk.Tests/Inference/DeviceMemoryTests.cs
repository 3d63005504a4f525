using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Tests.Inference;

/// <summary>Memory of the KV cache: the host's own, and what a session's allocator gives, as it is on a GPU (here that of the CPU).</summary>
public sealed class DeviceMemoryTests
{
    [Theory]
    [InlineData("Float32", false, 8 * 4), InlineData("Float32", true, 8 * 4)]
    [InlineData("Float16", false, 8 * 2), InlineData("Float16", true, 8 * 2)]
    [InlineData("UInt8", false, 16 + 4)]
    public void Slots_are_slices_of_one_memory(string numbers, bool allocated, int tokenBytes)
    {
        var type = Enum.Parse<ElementType>(numbers);
        using var session = Session();
        using var memory = allocated ? DeviceMemory.Of(session, OrtMemoryInfo.DefaultInstance) : DeviceMemory.Host();
        var shape = new DecoderShape(Layers: 2, VocabSize: 10, HiddenSize: 16, KeyValueHeads: 2, HeadSize: 8);
        using var cache = new KvCache(shape, slots: 3, slotLength: 4, type, memory);

        using var all = cache.Keys(1, 0, 3);
        using var last = cache.Keys(1, 2, 1);
        last.GetTensorMutableRawData()[0] = 42;

        Assert.Equal([3, 2, 4, tokenBytes / type.Size()], all.GetTensorTypeAndShape().Shape);
        Assert.Equal(2L * 2 * 2 * 4 * tokenBytes, cache.BytesPerSlot);
        Assert.Equal(42, all.GetTensorMutableRawData()[2 * 2 * 4 * tokenBytes]);
    }

    static InferenceSession Session()
    {
        OnnxRuntimeEnvironment.Ensure();
        var graph = new GraphBuilder("test");
        graph.Output("y", graph.Input("x", ElementType.Float32, 1), ElementType.Float32, 1);
        return new InferenceSession(graph.ToBytes(_ => default));
    }
}
