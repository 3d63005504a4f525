using MedVlm.Graphs;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Models;

/// <summary>
/// CLIP's vision transformer (ViT-L/14-336) as LLaVA-Med and Phi-3.5-Vision use it. Neither family's config.json has its sizes, so they are
/// read from the shapes of its tensors; what no tensor shows is the published model's.
/// </summary>
/// <remarks>
/// Paper: "Learning Transferable Visual Models From Natural Language Supervision", arXiv:2103.00020. Reference: transformers, models/clip.
/// Letters of the shapes: B images, S side in pixels, P patches, C width.
/// </remarks>
/// <param name="Layers">Layers that the checkpoint holds.</param>
/// <param name="HiddenSize">C.</param>
/// <param name="IntermediateSize">Width of the MLP.</param>
/// <param name="PatchSize">Side of a patch in pixels.</param>
/// <param name="PatchesPerSide">Patches in a row of an image.</param>
internal sealed record ClipTower(int Layers, int HiddenSize, int IntermediateSize, int PatchSize, int PatchesPerSide)
{
    /// <summary>Layer whose output both families read: the last but one.</summary>
    public const int SelectLayer = -2;

    public const int NumAttentionHeads = 16;
    public const float LayerNormEps = 1e-5f;

    const string Layer = "encoder.layers.";

    /// <summary>Mean of R, G, B that images are normalised with.</summary>
    public static ReadOnlySpan<float> Mean => [0.48145466f, 0.4578275f, 0.40821073f];

    /// <summary>Standard deviation of R, G, B that images are normalised with.</summary>
    public static ReadOnlySpan<float> Std => [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary>S.</summary>
    public int ImageSize => PatchesPerSide * PatchSize;

    /// <summary>P.</summary>
    public int Patches => PatchesPerSide * PatchesPerSide;

    /// <summary>Reads the sizes.</summary>
    /// <param name="shapeOf">Shape of a tensor, by its name below the tower's own path; null where there is none.</param>
    /// <exception cref="CheckpointException">A tensor is missing, or the shapes are no CLIP tower's.</exception>
    public static ClipTower Read(Func<string, IReadOnlyList<long>?> shapeOf)
    {
        IReadOnlyList<long> Shape(string name, int rank) =>
            shapeOf(name) is { } shape && shape.Count == rank && shape.All(size => size is > 0 and <= 1 << 20)
                ? shape
                : throw new CheckpointException(
                    $"The vision tower's tensor \"{name}\" is missing or of another shape than CLIP's: the checkpoint is of another model.");

        var (patch, positions) = (Shape("embeddings.patch_embedding.weight", 4), Shape("embeddings.position_embedding.weight", 2));
        int layers = 0;
        while (shapeOf($"{Layer}{layers}.layer_norm1.weight") is not null)
            layers++;
        int side = (int)Math.Sqrt(positions[0] - 1);
        if (side < 1 || side * side != positions[0] - 1 || patch[0] % NumAttentionHeads != 0)
            throw new CheckpointException(
                $"The vision tower has {positions[0]} positions and width {patch[0]}, but CLIP's are a square number of patches and one more, "
                + $"and a multiple of {NumAttentionHeads}: the checkpoint is of another model.");
        return new ClipTower(layers, (int)patch[0], (int)Shape($"{Layer}0.mlp.fc1.weight", 2)[0], (int)patch[3], side);
    }

    /// <summary>How many layers run for the output of layer <paramref name="selectLayer"/>, counted as transformers' hidden_states (-1 is the last).</summary>
    public int LayersFor(int selectLayer) => selectLayer < 0 ? Layers + 1 + selectLayer : selectLayer;

    /// <summary>Whether a tensor, by its name below the tower's own path, plays no part in the output of <paramref name="layers"/> layers.</summary>
    public bool Ignores(string name, int layers) =>
        name is "post_layernorm.weight" or "post_layernorm.bias" or "embeddings.position_ids"
        || Enumerable.Range(layers, Layers - layers).Any(layer => name.StartsWith($"{Layer}{layer}.", StringComparison.Ordinal));

    /// <summary>Images to hidden states, the class token first, without the last norm: [B, 3, S, S] to [B, 1 + P, C].</summary>
    /// <param name="pixels">Normalised images.</param>
    /// <param name="classRows">int64 [B, 1], all zero: the class token for each image.</param>
    /// <param name="w">Path of the tower.</param>
    /// <param name="layers">Layers to run.</param>
    public Tensor Features(Tensor pixels, Tensor classRows, Weights w, int layers)
    {
        var (graph, embeddings) = (pixels.Graph, w["embeddings"]);
        var classToken = embeddings["class_embedding"].Get(graph, "", [HiddenSize], @as: [1, HiddenSize]).Rows(classRows);   // [B, 1, C]
        var patches = pixels.PatchEmbedding(embeddings["patch_embedding"], ImageSize, PatchSize, HiddenSize, bias: false);   // [B, P, C]
        var x = Tensor.Concat(1, classToken, patches)
              + embeddings["position_embedding"].Get(graph, ".weight", [1 + Patches, HiddenSize]);                           // [B, 1 + P, C]
        x = x.LayerNorm(w["pre_layrnorm"], LayerNormEps);   // the reference's spelling
        for (int i = 0; i < layers; i++)
            x = Block(x, w[$"{Layer}{i}"]);
        return x;
    }

    /// <summary>Pre-norm transformer block, bidirectional.</summary>
    Tensor Block(Tensor x, Weights w)
    {
        var (h, attn) = (x.LayerNorm(w["layer_norm1"], LayerNormEps), w["self_attn"]);
        var q = h.Linear(attn["q_proj"], HiddenSize, bias: true);
        var k = h.Linear(attn["k_proj"], HiddenSize, bias: true);
        var v = h.Linear(attn["v_proj"], HiddenSize, bias: true);
        x += Bidirectional(q, k, v, NumAttentionHeads).Linear(attn["out_proj"], HiddenSize, bias: true);

        h = x.LayerNorm(w["layer_norm2"], LayerNormEps);
        return x + h.Linear(w["mlp.fc1"], IntermediateSize, bias: true).QuickGelu().Linear(w["mlp.fc2"], HiddenSize, bias: true);
    }
}
