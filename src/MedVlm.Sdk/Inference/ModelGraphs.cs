using MedVlm.Graphs;
using MedVlm.Kernels;
using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>A family's graphs, checked against the names and shapes of a checkpoint's tensors, before any weight is read.</summary>
/// <param name="Vision">Images to features.</param>
/// <param name="Decoder">Embeddings to logits.</param>
/// <param name="TokenEmbedding">Name of the token embedding, which the host reads.</param>
/// <param name="PositionEmbedding">Name of the learned positions that the host adds; null where there are none.</param>
internal sealed record ModelGraphs(GraphBuilder Vision, GraphBuilder Decoder, string TokenEmbedding, string? PositionEmbedding)
{
    /// <summary>Builds the graphs.</summary>
    /// <param name="family">The family.</param>
    /// <param name="tensors">Names and shapes of the checkpoint's tensors.</param>
    /// <param name="precision">Number format of the weights.</param>
    /// <param name="device">What they are to run on.</param>
    /// <param name="integerKernels">Whether the operators of <see cref="CustomOperators"/> are used on a CPU; null where the processor can.</param>
    /// <exception cref="CheckpointException">A tensor is missing, has another shape, or belongs to nothing.</exception>
    public static ModelGraphs Build(
        ModelFamily family, IReadOnlyDictionary<string, WeightInfo> tensors, Precision precision = Precision.Fp32, DeviceKind device = DeviceKind.Cpu,
        bool? integerKernels = null)
    {
        var catalog = new WeightCatalog(tensors);
        var (vision, decoder) = Formats(precision, device, family.Shape.HeadSize, integerKernels);
        var graphs = new ModelGraphs(
            VisionGraph.Build(family, catalog.Root, vision), DecoderGraph.Build(family, catalog.Root, decoder),
            family.TokenEmbedding(catalog.Root).OnHost(family.Shape.VocabSize, family.Shape.HiddenSize),
            family.PositionEmbedding(catalog.Root)?.OnHost(family.MaxPositions, family.Shape.HiddenSize));
        catalog.RefuseSurplus(tensor => tensor == family.TiedHead || family.Ignores(tensor));
        return graphs;
    }

    /// <summary>
    /// What each graph computes in. On a CPU, with hundreds of rows, as the vision tower always has them, products with 4-bit weights are
    /// no faster than FP32 (docs/precision.md): there INT4 takes the INT8 that is. On CUDA attention has no FP32 kernel, and quantised
    /// weights are widened as they are multiplied.
    /// </summary>
    /// <param name="precision">Number format of the weights.</param>
    /// <param name="device">What the graphs are to run on.</param>
    /// <param name="headSize">Head size of the decoder.</param>
    /// <param name="integerKernels">Whether the operators of <see cref="CustomOperators"/> are used on a CPU; null where the processor can.</param>
    public static (GraphFormat Vision, GraphFormat Decoder) Formats(Precision precision, DeviceKind device, int headSize, bool? integerKernels = null)
    {
        return (device, precision) switch
        {
            (DeviceKind.Cpu, Precision.Fp32) => Both(LinearFormat.Float, ElementType.Float32),
            (DeviceKind.Cpu, Precision.Int8) => (OnCpu(LinearFormat.Int8), OnCpu(LinearFormat.Int8)),
            (DeviceKind.Cpu, Precision.Int4) => (OnCpu(LinearFormat.Int8), OnCpu(LinearFormat.Int4)),
            (DeviceKind.Cuda, Precision.Fp16) => Both(LinearFormat.Float, ElementType.Float16),
            (DeviceKind.Cuda, Precision.Int8) => Both(LinearFormat.Int8Blocks, ElementType.Float16),
            (DeviceKind.Cuda, Precision.Int4) => Both(LinearFormat.Int4, ElementType.Float16),
            _ => throw new System.Diagnostics.UnreachableException(),
        };

        GraphFormat OnCpu(LinearFormat linears) => new(linears, ElementType.Float32, (integerKernels ?? CustomOperators.AreSupported) && headSize <= IntegerAttention.MaxHeadSize);

        static (GraphFormat, GraphFormat) Both(LinearFormat linears, ElementType floats) => (new(linears, floats), new(linears, floats));
    }
}
