namespace MedVlm.Graphs;

internal static class ConvolutionWords
{
    /// <summary>Convolution over the tokens, as many out as in (zeros beyond the ends): [B, T, D] to [B, T, outputs] (torch.nn.Conv1d).</summary>
    /// <param name="x">Hidden states.</param>
    /// <param name="w">Path of the convolution, weight [outputs, D / groups, kernel].</param>
    /// <param name="outputs">Output channels.</param>
    /// <param name="kernel">Tokens that one output sees; odd.</param>
    /// <param name="groups">Groups of channels that do not see each other.</param>
    public static Tensor Convolution(this Tensor x, Weights w, int outputs, int kernel, int groups)
    {
        var graph = x.Graph;
        var weight = w.Get(graph, ".weight", [outputs, x.Width / groups, kernel], size: nameof(outputs));
        var bias = w.Get(graph, ".bias", [outputs], size: nameof(outputs));
        long[] padding = [kernel / 2, kernel / 2];
        return graph.Node("Conv", [x.Transpose(0, 2, 1), weight, bias], 0, [("group", groups), ("pads", padding)], scope: w.Path)
                    .Transpose(0, 2, 1) with { Width = outputs };
    }
}
