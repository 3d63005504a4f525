using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>Runs of the vision graph for several images as one run.</summary>
internal static class JoinedVisionRun
{
    /// <summary>Whether two runs can be one: all inputs are of the same size but for their first dimension, and those that images share are the same.</summary>
    /// <param name="a">A run.</param>
    /// <param name="b">Another run.</param>
    /// <param name="shared">Names of the inputs that images of one size share.</param>
    public static bool CanJoin(VisionRun a, VisionRun b, IReadOnlyCollection<string> shared) =>
        a.Inputs.Count == b.Inputs.Count && a.Inputs.All(input => b.Inputs.TryGetValue(input.Key, out var other)
            && input.Value.Type == other.Type
            && input.Value.Shape.AsSpan(1).SequenceEqual(other.Shape.AsSpan(1))
            && (!shared.Contains(input.Key) || HostTensor.AreEqual(input.Value, other)));

    /// <summary>One run after another along the first dimension.</summary>
    public static VisionRun Join(IReadOnlyList<VisionRun> runs, IReadOnlyCollection<string> shared) => runs.Count == 1 ? runs[0] : new VisionRun(
        runs[0].Inputs.ToDictionary(input => input.Key, input => shared.Contains(input.Key)
            ? input.Value
            : HostTensor.Stack([.. runs.Select(run => run.Inputs[input.Key])])),
        runs.Sum(run => run.Features));
}
