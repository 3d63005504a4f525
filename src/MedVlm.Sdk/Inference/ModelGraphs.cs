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
    /// <exception cref="CheckpointException">A tensor is missing, has another shape, or belongs to nothing.</exception>
    public static ModelGraphs Build(ModelFamily family, IReadOnlyDictionary<string, WeightInfo> tensors)
    {
        var catalog = new WeightCatalog(tensors);
        var graphs = new ModelGraphs(
            VisionGraph.Build(family, catalog.Root), DecoderGraph.Build(family, catalog.Root),
            family.TokenEmbedding(catalog.Root).OnHost(family.Shape.VocabSize, family.Shape.HiddenSize),
            family.PositionEmbedding(catalog.Root)?.OnHost(family.MaxPositions, family.Shape.HiddenSize));
        catalog.RefuseSurplus(family.Ignores);
        return graphs;
    }
}
