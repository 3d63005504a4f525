using System.Runtime.InteropServices;
using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>Runs of the vision graph for several images as one run.</summary>
internal static class JoinedVisionRun
{
    /// <summary>Values that a run takes in: what its workspace is proportional to.</summary>
    public static long Values(VisionRun run) => run.Inputs.Values.Sum(tensor => tensor.Data is float[] data ? data.LongLength : 0);

    /// <summary>Whether two runs can be one: all inputs are of the same size but for their first dimension, and those that images share are the same.</summary>
    /// <param name="a">A run.</param>
    /// <param name="b">Another run.</param>
    /// <param name="shared">Names of the inputs that images of one size share.</param>
    public static bool CanJoin(VisionRun a, VisionRun b, IReadOnlyCollection<string> shared) =>
        a.Inputs.Count == b.Inputs.Count && a.Inputs.All(input => b.Inputs.TryGetValue(input.Key, out var other)
            && input.Value.Data.GetType() == other.Data.GetType()
            && input.Value.Shape.AsSpan(1).SequenceEqual(other.Shape.AsSpan(1))
            && (!shared.Contains(input.Key) || Bytes(input.Value.Data).SequenceEqual(Bytes(other.Data))));

    /// <summary>One run after another along the first dimension.</summary>
    public static VisionRun Join(IReadOnlyList<VisionRun> runs, IReadOnlyCollection<string> shared) => runs.Count == 1 ? runs[0] : new VisionRun(
        runs[0].Inputs.ToDictionary(input => input.Key, input => shared.Contains(input.Key)
            ? input.Value
            : Stack([.. runs.Select(run => run.Inputs[input.Key])])),
        runs.Sum(run => run.Features));

    static HostTensor Stack(HostTensor[] tensors)
    {
        var data = Array.CreateInstanceFromArrayType(tensors[0].Data.GetType(), tensors.Sum(tensor => tensor.Data.Length));
        int filled = 0;
        foreach (var tensor in tensors)
        {
            Array.Copy(tensor.Data, 0, data, filled, tensor.Data.Length);
            filled += tensor.Data.Length;
        }
        return new HostTensor(data, [tensors.Sum(tensor => tensor.Shape[0]), .. tensors[0].Shape[1..]]);
    }

    static ReadOnlySpan<byte> Bytes(Array data) => data switch
    {
        float[] values => MemoryMarshal.AsBytes(values.AsSpan()),
        long[] values => MemoryMarshal.AsBytes(values.AsSpan()),
        int[] values => MemoryMarshal.AsBytes(values.AsSpan()),
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
