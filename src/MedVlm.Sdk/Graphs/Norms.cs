namespace MedVlm.Graphs;

/// <summary>
/// A norm's tensors in the checkpoint. Channel by channel they say how large what it makes is on average, which INT4 weighs its errors by:
/// a normalised channel has a mean square of 1, so gain and shift make gain² + shift² of it.
/// </summary>
/// <param name="Gain">Name of the gain.</param>
/// <param name="Shift">Name of the shift; null for RMSNorm.</param>
internal sealed record NormUse(string Gain, string? Shift);

/// <summary>Normalisation over the last dimension.</summary>
internal static class NormWords
{
    /// <summary><c>(x - mean) / sqrt(variance + eps) * weight + bias</c> (torch.nn.LayerNorm).</summary>
    public static Tensor LayerNorm(this Tensor x, Weights w, float epsilon)
    {
        // BERT's first checkpoints came from TensorFlow and keep its names.
        var (gain, shift) = w.Has(".gamma") ? (".gamma", ".beta") : (".weight", ".bias");
        var (weight, bias) = (w.Get(x.Graph, gain, [x.Width]), w.Get(x.Graph, shift, [x.Width]));
        return x.Graph.Node("LayerNormalization", [x, weight, bias], x.Width, [("axis", -1), ("epsilon", epsilon)], scope: w.Path) with
        {
            Norm = new(w.Path + gain, w.Path + shift),
        };
    }

    /// <summary><c>x / sqrt(mean(x²) + eps) * weight</c> (arXiv:1910.07467).</summary>
    public static Tensor RmsNorm(this Tensor x, Weights w, float epsilon) => x.RmsNorm(w.Get(x.Graph, ".weight", [x.Width]), w, epsilon);

    /// <summary>The same with a gain that has been asked for already.</summary>
    public static Tensor RmsNorm(this Tensor x, Tensor gain, Weights w, float epsilon) => x.Graph.Node(
        "SimplifiedLayerNormalization", [x, gain], x.Width, [("axis", -1), ("epsilon", epsilon), ("stash_type", 1)], scope: w.Path) with
    {
        Norm = new(w.Path + ".weight", null),
    };
}
