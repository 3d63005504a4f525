using System.Runtime.CompilerServices;

namespace MedVlm.Graphs;

internal static class ActivationWords
{
    /// <summary>GELU with the tanh approximation (<c>gelu_pytorch_tanh</c>).</summary>
    public static Tensor GeluTanh(this Tensor x) => x.Graph.Node("FastGelu", [x], x.Width, domain: GraphBuilder.Microsoft);

    /// <summary>GELU by the error function (<c>gelu</c>, torch.nn.GELU).</summary>
    public static Tensor Gelu(this Tensor x) => x.Graph.Node("Gelu", [x], x.Width, domain: GraphBuilder.Microsoft);

    /// <summary><c>x · sigmoid(1.702 · x)</c> (<c>quick_gelu</c>).</summary>
    public static Tensor QuickGelu(this Tensor x) => x.Graph.Node("QuickGelu", [x], x.Width, [("alpha", 1.702f)], GraphBuilder.Microsoft);

    /// <summary><c>x · sigmoid(x)</c>. QuickGelu computes <c>x · sigmoid(alpha · x)</c>.</summary>
    public static Tensor Silu(this Tensor x) => x.Graph.Node("QuickGelu", [x], x.Width, [("alpha", 1f)], GraphBuilder.Microsoft);

    /// <summary>Hyperbolic tangent (<c>tanh</c>).</summary>
    public static Tensor Tanh(this Tensor x) => x.Graph.Node("Tanh", [x], x.Width);

    /// <summary>Gated MLP: <c>down(silu(gate(x)) · up(x))</c> (arXiv:2002.05202), [..., D] to [..., D].</summary>
    public static Tensor SwiGlu(
        this Tensor x, Weights w, int intermediateSize, bool bias = false,
        [CallerArgumentExpression(nameof(intermediateSize))] string? size = null) =>
        x.Gated(w, intermediateSize, bias, size).Linear(w["down_proj"], x.Width, bias, size: null);

    /// <summary>What the last product of a gated MLP multiplies: <c>silu(gate(x)) · up(x)</c>.</summary>
    public static Tensor Gated(this Tensor x, Weights w, int intermediateSize, bool bias, string? size)
    {
        var gate = x.Linear(w["gate_proj"], intermediateSize, bias, size);
        var up = x.Linear(w["up_proj"], intermediateSize, bias, size);
        return gate.Silu() * up;
    }

    /// <summary>The same with gate and up packed into one weight, <c>gate_up_proj</c> [gate | up].</summary>
    public static Tensor PackedSwiGlu(
        this Tensor x, Weights w, int intermediateSize, [CallerArgumentExpression(nameof(intermediateSize))] string? size = null)
    {
        var packed = x.Linear(w["gate_up_proj"], 2 * intermediateSize, size: $"2 * {size}").Split(intermediateSize, intermediateSize);
        return (packed[0].Silu() * packed[1]).Linear(w["down_proj"], x.Width, size: null);
    }
}
