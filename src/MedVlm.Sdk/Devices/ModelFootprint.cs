using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;

namespace MedVlm.Devices;

/// <summary>What a memory plan needs to know of a model: sums over tensors and shapes. No weight is read for it.</summary>
/// <param name="Vision">Matrices of the vision tower and the projector, which every precision quantises.</param>
/// <param name="Decoder">Matrices of the decoder and its output head, which every precision quantises.</param>
/// <param name="Others">Elements of norms, biases, positions and convolutions, which stay in floating point.</param>
/// <param name="HostBytes">Token embedding and learned positions as stored: the host reads their rows from the mapped file.</param>
/// <param name="Shape">The decoder's sizes.</param>
/// <param name="Widths">What the workspace is proportional to.</param>
/// <param name="Caption">What one caption asks for.</param>
internal sealed record ModelFootprint(
    Matrices Vision, Matrices Decoder, long Others, long HostBytes, KvShape Shape, LayerWidths Widths, CaptionFootprint Caption)
{
    /// <summary>
    /// Bytes of weights that in FP32 are widened into memory of our own, beside ONNX Runtime's packed copies: those that an adapter changes, or that ONNX
    /// Runtime cannot map.
    /// </summary>
    public long OwnBytes { get; init; }

    /// <summary>Reads a footprint off a family's graphs.</summary>
    /// <param name="family">The family.</param>
    /// <param name="graphs">Its graphs, made with the names and shapes of the checkpoint.</param>
    /// <param name="stored">Dimensions and bytes of a tensor as stored.</param>
    /// <param name="caption">What a caption asks for.</param>
    public static ModelFootprint Of(ModelFamily family, ModelGraphs graphs, Func<string, (int Rank, long Bytes)> stored, CaptionFootprint caption)
    {
        List<WeightUse> vision = Linears(graphs.Vision, stored), decoder = Linears(graphs.Decoder, stored);
        var quantised = vision.Concat(decoder).Select(use => use.StoredName).ToHashSet();
        var others = graphs.Vision.Weights.Concat(graphs.Decoder.Weights).DistinctBy(use => use.StoredName).Where(use => !quantised.Contains(use.StoredName));

        // The first matrix of a vision tower makes patches; those that take its output in say how wide a layer gets.
        var factors = Factors(graphs.Vision);
        var patches = graphs.Vision.Weights.First(use => factors.Contains(use.Initializer));
        long width = patches.Shape[0];

        return new ModelFootprint(
            Matrices.Of(vision.Select(Size)), Matrices.Of(decoder.Select(Size)), others.Sum(use => use.Shape.Aggregate(1L, (product, size) => product * size)),
            stored(graphs.TokenEmbedding).Bytes + (graphs.PositionEmbedding is { } positions ? stored(positions).Bytes : 0), KvShape.Of(family.Shape),
            new LayerWidths(
                patches.Shape.Skip(1).Aggregate(1L, (product, size) => product * size), width, Widest(vision, width), family.Shape.HiddenSize,
                Widest(decoder, family.Shape.HiddenSize)),
            caption);

        static (long, long) Size(WeightUse use) => (use.Shape[0], use.Shape[1]);

        long Widest(List<WeightUse> matrices, long input) =>
            matrices.Where(use => use.Shape[1] == input && use.Shape[0] != family.Shape.VocabSize).Select(use => use.Shape[0]).DefaultIfEmpty(input).Max();
    }

    /// <summary>Matrices that a linear layer multiplies by; a convolution, which the graph writes as a product too, is stored in more dimensions.</summary>
    static List<WeightUse> Linears(GraphBuilder graph, Func<string, (int Rank, long Bytes)> stored)
    {
        var factors = Factors(graph);
        return [.. graph.Weights.Where(use => stored(use.StoredName).Rank == 2 && factors.Contains(use.Initializer))];
    }

    static HashSet<string> Factors(GraphBuilder graph) =>
        graph.Nodes.Where(node => node.OpType == "FusedMatMul").Select(node => node.Input[1]).ToHashSet();
}

/// <summary>What the KV cache is made of.</summary>
/// <param name="Layers">Decoder layers.</param>
/// <param name="Heads">Key/value heads.</param>
/// <param name="HeadSize">Head size.</param>
/// <param name="CrossLength">Image features that each layer's cross-attention sees; 0 without cross-attention.</param>
internal readonly record struct KvShape(int Layers, int Heads, int HeadSize, int CrossLength)
{
    public static KvShape Of(DecoderShape shape) => new(shape.Layers, shape.KeyValueHeads, shape.HeadSize, shape.CrossLength);

    /// <summary>Bytes of keys and values of one slot.</summary>
    /// <param name="slotLength">Tokens.</param>
    /// <param name="format">What the decoder computes in.</param>
    public long BytesPerSlot(int slotLength, GraphFormat format) => BytesPerSlot(slotLength, format.Cache, format.Floats);

    /// <summary>Bytes of keys and values of one slot.</summary>
    /// <param name="slotLength">Tokens.</param>
    /// <param name="cache">What they are kept in.</param>
    /// <param name="cross">What those of the images are kept in.</param>
    public long BytesPerSlot(int slotLength, ElementType cache, ElementType cross) =>
        2L * Layers * Heads * ((long)slotLength * KvCache.RowLength(HeadSize, cache) * cache.Size() + (long)CrossLength * HeadSize * cross.Size());
}

/// <summary>Widths of layers, in values.</summary>
/// <param name="PatchInput">Values of a patch of the image.</param>
/// <param name="Vision">Width of the vision tower.</param>
/// <param name="VisionInner">Its widest layer.</param>
/// <param name="Decoder">Hidden size of the decoder.</param>
/// <param name="DecoderInner">Its widest layer, without the output head.</param>
internal readonly record struct LayerWidths(long PatchInput, long Vision, long VisionInner, long Decoder, long DecoderInner);

/// <summary>What one caption asks for.</summary>
/// <param name="PromptTokens">The prompt, image placeholders expanded.</param>
/// <param name="NewTokens">Tokens that may be written.</param>
/// <param name="WaitingBytes">Main memory that the image takes until its features are there.</param>
/// <param name="RunValues">Values of the largest run of the vision graph.</param>
internal readonly record struct CaptionFootprint(int PromptTokens, int NewTokens, long WaitingBytes, long RunValues)
{
    /// <summary>Side of the square image that plans are made for, in pixels: a radiograph as data sets have them.</summary>
    public const int ImageSide = 1024;

    /// <summary>Tokens of a slot of the KV cache, as the engine lays it out.</summary>
    public int SlotLength => Engine.CacheLength(PromptTokens + NewTokens);

    /// <summary>Prepares an image to see what it becomes.</summary>
    public static CaptionFootprint Of(ModelInputs inputs, int newTokens)
    {
        long waiting = inputs.Vision.Sum(run => run.Inputs.Values.Sum(tensor => tensor.WaitingBytes));
        return new CaptionFootprint(inputs.PromptIds.Length, newTokens, waiting, inputs.Vision.Max(run => run.Values));
    }
}
