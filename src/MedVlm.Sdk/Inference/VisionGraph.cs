using MedVlm.Graphs;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace MedVlm.Inference;

/// <summary>The vision graph of any family, and its runs.</summary>
internal static class VisionGraph
{
    const string Features = "image_features";

    public static GraphBuilder Build(ModelFamily family, Weights weights, GraphFormat format)
    {
        var graph = new GraphBuilder("vision", format);
        var features = family.Vision(graph, weights);
        graph.Output(Features, graph.ToHost(features.Reshape(-1, family.FeatureWidth)), ElementType.Float32, "F", family.FeatureWidth);

        var shape = family.Shape;
        Dim[] size = ["B", shape.KeyValueHeads, shape.CrossLength, shape.HeadSize];
        foreach (var (layer, (keys, values)) in family.CrossAttention(features, weights).Index())
        {
            graph.Output(DecoderGraph.CrossKey(layer), keys, graph.Floats, size);
            graph.Output(DecoderGraph.CrossValue(layer), values, graph.Floats, size);
        }
        return graph;
    }

    /// <summary>Numbers of the image features of some runs.</summary>
    public static int Length(ModelFamily family, IReadOnlyList<VisionRun> runs) => checked(runs.Sum(run => run.Features) * family.FeatureWidth);

    /// <summary>Runs the graph on each input in turn.</summary>
    /// <returns>Image features of all runs, [features, width].</returns>
    /// <inheritdoc cref="Run(GraphSession, ModelFamily, IReadOnlyList{VisionRun}, Span{float}, KvCache?, int, RunOptions, CancellationToken, Action{OrtIoBinding}?)"/>
    public static float[] Run(
        GraphSession vision, ModelFamily family, IReadOnlyList<VisionRun> runs, KvCache? cross, int slot, RunOptions runOptions,
        CancellationToken cancellationToken, Action<OrtIoBinding>? bindMore = null)
    {
        var features = new float[Length(family, runs)];
        Run(vision, family, runs, features, cross, slot, runOptions, cancellationToken, bindMore);
        return features;
    }

    /// <summary>Runs the graph on each input in turn.</summary>
    /// <param name="vision">The graph.</param>
    /// <param name="family">The family that it is of.</param>
    /// <param name="runs">Inputs.</param>
    /// <param name="features">Receives the image features of all runs, [features, width].</param>
    /// <param name="cross">Receives keys and values of the cross-attention in <paramref name="slot"/>, for families that have it.</param>
    /// <param name="slot">The caption's slot.</param>
    /// <param name="runOptions">Carries the request to end a run early.</param>
    /// <param name="cancellationToken">Ends the work between two runs.</param>
    /// <param name="bindMore">Binds what the graph has beside its own inputs and outputs; null for nothing.</param>
    public static unsafe void Run(
        GraphSession vision, ModelFamily family, IReadOnlyList<VisionRun> runs, Span<float> features, KvCache? cross, int slot, RunOptions runOptions,
        CancellationToken cancellationToken, Action<OrtIoBinding>? bindMore = null)
    {
        int width = family.FeatureWidth;
        foreach (var run in runs)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var binding = vision.Session.CreateIoBinding();
            var values = new List<IDisposable>();
            try
            {
                foreach (var (name, tensor) in run.Inputs)
                    binding.BindInput(name, Input(tensor));

                for (int layer = 0; cross is not null && layer < family.Shape.Layers; layer++)
                {
                    binding.BindOutput(DecoderGraph.CrossKey(layer), Keep(cross.Keys(layer, slot, 1)));
                    binding.BindOutput(DecoderGraph.CrossValue(layer), Keep(cross.Values(layer, slot, 1)));
                }

                bindMore?.Invoke(binding);
                var place = features[..(run.Features * width)];
                fixed (float* numbers = place)
                {
                    binding.BindOutput(Features, Keep(Value(numbers, place.Length, [run.Features, width])));
                    vision.Session.RunWithBinding(runOptions, binding);
                }
                features = features[place.Length..];
            }
            finally
            {
                foreach (var value in values)
                    value.Dispose();
            }

            OrtValue Input(HostTensor tensor)
            {
                if (tensor.TryMake() is not { } made)
                    return Keep(Value(tensor));
                values.Add(made);
                return Keep(Value((float*)made.Data, tensor.Length, tensor.Shape));
            }

            OrtValue Keep(OrtValue value)
            {
                values.Add(value);
                return value;
            }
        }
    }

    static unsafe OrtValue Value(float* numbers, long count, long[] shape) => OrtValue.CreateTensorValueWithData(
        OrtMemoryInfo.DefaultInstance, TensorElementType.Float, shape, (nint)numbers, count * sizeof(float));

    static OrtValue Value(HostTensor tensor) => tensor.Data switch
    {
        float[] data => OrtValue.CreateTensorValueFromMemory(data, tensor.Shape),
        long[] data => OrtValue.CreateTensorValueFromMemory(data, tensor.Shape),
        int[] data => OrtValue.CreateTensorValueFromMemory(data, tensor.Shape),
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
