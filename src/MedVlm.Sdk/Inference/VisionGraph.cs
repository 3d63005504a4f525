using MedVlm.Graphs;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>The vision graph of any family, and its runs.</summary>
internal static class VisionGraph
{
    const string Features = "image_features";

    public static GraphBuilder Build(ModelFamily family, Weights weights)
    {
        var graph = new GraphBuilder("vision");
        graph.Output(Features, family.Vision(graph, weights), ElementType.Float32, "B", "F", family.Shape.HiddenSize);
        return graph;
    }

    /// <summary>Runs the graph on each input in turn.</summary>
    /// <returns>Image features of all of them, [features, D].</returns>
    public static float[] Run(GraphSession vision, IReadOnlyList<VisionRun> runs, int hiddenSize, RunOptions runOptions, CancellationToken cancellationToken)
    {
        var features = new float[runs.Sum(run => run.Features) * hiddenSize];
        int filled = 0;
        foreach (var run in runs)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var values = run.Inputs.ToDictionary(input => input.Key, input => Value(input.Value));
            try
            {
                using var outputs = vision.Session.Run(runOptions, values, [Features]);
                var result = outputs[0].GetTensorDataAsSpan<float>();
                result.CopyTo(features.AsSpan(filled, run.Features * hiddenSize));
                filled += result.Length;
            }
            finally
            {
                foreach (var value in values.Values)
                    value.Dispose();
            }
        }
        return features;
    }

    static OrtValue Value(HostTensor tensor) => tensor.Data switch
    {
        float[] data => OrtValue.CreateTensorValueFromMemory(data, tensor.Shape),
        long[] data => OrtValue.CreateTensorValueFromMemory(data, tensor.Shape),
        int[] data => OrtValue.CreateTensorValueFromMemory(data, tensor.Shape),
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
