using System.Runtime.CompilerServices;

namespace MedVlm.Graphs;

/// <summary>
/// Words for a residual stream that goes beyond FP16's range (65,504), which no clipping mends: a norm divides by what was cut off. In a graph that
/// computes in FP16, the stream and what is added to it last are FP32; in FP32 graphs these words are the plain ones.
/// </summary>
internal static class WideNumbers
{
    // A power of two, so that no digit changes: sums up to four million fit FP16 then.
    const float Share = 1 / 64f;

    /// <summary>Begins a stream in FP32.</summary>
    public static Tensor Widen(this Tensor x) => x.Graph.ToHost(x);

    /// <summary><see cref="NormWords.RmsNorm(Tensor, Weights, float)"/> of a stream in FP32, to what the graph computes in.</summary>
    public static Tensor RmsNormOfWide(this Tensor x, Weights w, float epsilon)
    {
        if (x.Graph.Floats == ElementType.Float32)
            return x.RmsNorm(w, epsilon);
        var wide = x.RmsNorm(w.Get(x.Graph, ".weight", [x.Width]).Widen(), w, epsilon);
        return x.Graph.ToFloats(wide) with { Norm = wide.Norm };
    }

    /// <summary><see cref="ActivationWords.SwiGlu"/> with biases, to FP32: the last product is made of a 64th of what it multiplies.</summary>
    public static Tensor WideSwiGlu(
        this Tensor x, Weights w, int intermediateSize, [CallerArgumentExpression(nameof(intermediateSize))] string? size = null)
    {
        var graph = x.Graph;
        if (graph.Floats == ElementType.Float32)
            return x.SwiGlu(w, intermediateSize, bias: true, size);
        var down = (x.Gated(w, intermediateSize, bias: true, size) * graph.ToFloats(graph.Scalar(Share))).Linear(w["down_proj"], x.Width, size: null);
        return down.Widen() * graph.Scalar(1 / Share) + w["down_proj"].Get(graph, ".bias", [x.Width]).Widen();
    }
}
