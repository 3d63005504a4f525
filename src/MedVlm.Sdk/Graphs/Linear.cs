using System.Runtime.CompilerServices;

namespace MedVlm.Graphs;

/// <summary>Linear layers, as PyTorch stores them: weight [out, in], used as it lies in the file.</summary>
internal static class LinearWords
{
    const int Channels = 3;

    /// <summary><c>x W^T</c>, plus the bias if there is one: [..., in] to [..., out].</summary>
    public static Tensor Linear(
        this Tensor x, Weights w, int outputs, bool bias = false, [CallerArgumentExpression(nameof(outputs))] string? size = null)
    {
        var graph = x.Graph;
        var added = bias ? w.Get(graph, ".bias", [outputs], size: size) : null;
        var y = graph.Linears switch
        {
            LinearFormat.Int8 => x.LinearInt8(w, outputs, added, size),
            LinearFormat.Int8Blocks => x.LinearBlocks(8, w, outputs, added, size),
            LinearFormat.Int4 => x.LinearBlocks(4, w, outputs, added, size),
            _ => x.MatMulTransposed(w.Get(graph, ".weight", [outputs, x.Width], size: size), outputs, w.Path, added),
        };
        graph.Add(new LinearLayer($"{w.Path}.weight", bias ? $"{w.Path}.bias" : null, x.Name, x.Width, y.Name, outputs));
        return y;
    }

    /// <summary>
    /// Cuts an image into patches and projects each: a convolution whose stride is its kernel, [B, 3, S, S] to [B, P, C],
    /// patches row by row. As a matrix product: no patch is shared, so there is nothing that a convolution could save.
    /// </summary>
    public static Tensor PatchEmbedding(this Tensor pixels, Weights w, int imageSize, int patchSize, int hiddenSize, bool bias = true)
    {
        int patch = Channels * patchSize * patchSize;
        var weight = w.Get(pixels.Graph, ".weight", [hiddenSize, Channels, patchSize, patchSize], @as: [hiddenSize, patch], size: nameof(hiddenSize));
        return pixels.Patches(imageSize, patchSize)
                     .MatMulTransposed(
                         weight, hiddenSize, w.Path, bias ? w.Get(pixels.Graph, ".bias", [hiddenSize], size: nameof(hiddenSize)) : null);
    }

    /// <summary>
    /// Cuts an image into patches, row by row, each channel by channel: [B, 3, S, S] to [B, P, 3·p²]. Pixels at the right and lower edge that
    /// make no whole patch are left out, as a convolution leaves them.
    /// </summary>
    public static Tensor Patches(this Tensor pixels, int imageSize, int patchSize)
    {
        int side = imageSize / patchSize;
        if (imageSize % patchSize != 0)
            pixels = pixels.First(side * patchSize, imageSize, axis: 2).First(side * patchSize, imageSize, axis: 3);
        return pixels.Reshape(0, Channels, side, patchSize, side, patchSize)
                     .Transpose(0, 2, 4, 1, 3, 5)                                             // [B, side, side, 3, p, p]
                     .Reshape(0, side * side, Channels * patchSize * patchSize);
    }

    /// <summary>
    /// The same for patches that the host has cut and laid out: a convolution without bias as a matrix product,
    /// [..., elements of the kernel] to [..., C].
    /// </summary>
    /// <param name="patches">Each patch's values in the order of the kernel's.</param>
    /// <param name="w">Path of the convolution.</param>
    /// <param name="hiddenSize">C.</param>
    /// <param name="kernel">Shape of the kernel as stored: channels, then its sides.</param>
    public static Tensor PatchProjection(this Tensor patches, Weights w, int hiddenSize, params long[] kernel)
    {
        var weight = w.Get(patches.Graph, ".weight", [hiddenSize, .. kernel], @as: [hiddenSize, patches.Width], size: nameof(hiddenSize));
        return patches.MatMulTransposed(weight, hiddenSize, w.Path, bias: null);
    }

    // com.microsoft.FusedMatMul with transB: as fast as MatMul with a transposed copy, and the same bits out.
    static Tensor MatMulTransposed(this Tensor x, Tensor weight, int outputs, string scope, Tensor? bias)
    {
        var product = x.Graph.Node("FusedMatMul", [x, weight], outputs, [("transB", 1)], GraphBuilder.Microsoft, scope);
        return bias is null ? product : x.Graph.Node("Add", [product, bias], outputs, scope: scope);
    }
}
