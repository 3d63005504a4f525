using MedVlm.Graphs;
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
    /// <param name="precision">Number format of the linear layers.</param>
    /// <exception cref="CheckpointException">A tensor is missing, has another shape, or belongs to nothing.</exception>
    public static ModelGraphs Build(ModelFamily family, IReadOnlyDictionary<string, WeightInfo> tensors, Precision precision = Precision.Fp32)
    {
        var catalog = new WeightCatalog(tensors);
        var (vision, decoder) = Formats(precision);
        var graphs = new ModelGraphs(
            VisionGraph.Build(family, catalog.Root, vision), DecoderGraph.Build(family, catalog.Root, decoder),
            family.TokenEmbedding(catalog.Root).OnHost(family.Shape.VocabSize, family.Shape.HiddenSize),
            family.PositionEmbedding(catalog.Root)?.OnHost(family.MaxPositions, family.Shape.HiddenSize));
        catalog.RefuseSurplus(family.Ignores);
        return graphs;
    }

    /// <summary>
    /// What the linear layers of each graph compute in. With hundreds of rows, as the vision tower always has them, products with 4-bit
    /// weights are no faster than FP32 (docs/precision.md): there INT4 takes the INT8 that is.
    /// </summary>
    public static (LinearFormat Vision, LinearFormat Decoder) Formats(Precision precision) => precision switch
    {
        Precision.Int8 => (LinearFormat.Int8, LinearFormat.Int8),
        Precision.Int4 => (LinearFormat.Int8, LinearFormat.Int4),
        _ => (LinearFormat.Float32, LinearFormat.Float32),
    };
}
