using MedVlm.Checkpoints.Quantised;
using MedVlm.Kernels;

namespace MedVlm.Graphs;

/// <summary>Number formats of a graph.</summary>
/// <param name="Linears">What its linear layers compute in.</param>
/// <param name="Floats">What everything else computes in.</param>
/// <param name="IntegerKernels">Whether the operators of <see cref="Kernels.CustomOperators"/> are used: attention on integers with a KV cache of 8 bits.</param>
internal readonly record struct GraphFormat(LinearFormat Linears, ElementType Floats, bool IntegerKernels = false)
{
    /// <summary>What the KV cache holds.</summary>
    public ElementType Cache => IntegerKernels ? ElementType.UInt8 : Floats;
}

/// <summary>What the linear layers of a graph compute in.</summary>
internal enum LinearFormat
{
    /// <summary>What the rest of the graph computes in.</summary>
    Float,

    /// <summary>Weights and activations in 8 bits: a scale for each output channel, and one for each token.</summary>
    Int8,

    /// <summary>Weights in 8 bits, with a scale for each block of 32.</summary>
    Int8Blocks,

    /// <summary>Weights in 4 bits, with scale and zero point for each block of 32.</summary>
    Int4,
}

/// <summary>Linear layers with quantised weights, [..., in] to [..., out].</summary>
internal static class QuantisedLinearWords
{
    // uint8 activations around a zero point: the products of int8 activations have no fast kernel on x64.
    static readonly byte s_activationZero = (byte)(IntegerProducts.LargestActivation + 1);
    static readonly float s_activationStep = 1f / IntegerProducts.LargestActivation;

    /// <summary>
    /// Integers times integers: activations are quantised by token, weights by output channel (arXiv:2208.07339 without its outliers).
    /// The sums are exact, so a token's result does not depend on what is computed beside it.
    /// </summary>
    public static Tensor LinearInt8(this Tensor x, Weights w, int outputs, Tensor? bias, string? size)
    {
        var graph = x.Graph;
        var (values, rowScale) = graph.Once($"{x.Name}/int8", x.QuantiseRows);
        var (weight, scale) = (
            w.Quantised(graph, WeightPart.Int8, outputs, x.Width, size), w.Quantised(graph, WeightPart.Int8Scale, outputs, x.Width, size));

        if (graph.IntegerKernels)
        {
            // Sums stay integers until the node that reads them: ONNX Runtime's own way to scale them takes a pass more (4 % of the product).
            var sums = graph.Node("MatMulInteger", [values, weight, graph.Scalar(s_activationZero)], outputs, scope: w.Path);
            return graph.Node(ScaleRowsOperator.Name, [sums, rowScale, scale, bias], outputs, domain: CustomOperators.Domain, scope: w.Path);
        }

        // Takes one scale for all activations only: the tokens' own follow.
        var product = graph.Node(
            "MatMulIntegerToFloat", [values, weight, graph.Scalar(s_activationStep), scale, graph.Scalar(s_activationZero)], outputs,
            domain: GraphBuilder.Microsoft, scope: w.Path);
        var y = graph.Node("Mul", [product, rowScale], outputs, scope: w.Path);
        return bias is null ? y : graph.Node("Add", [y, bias], outputs, scope: w.Path);
    }

    /// <summary>
    /// The weights of a block are widened as they are multiplied. On a CPU, level 4 lets the activations be rounded to 8 bits by block, which
    /// is three times as fast; CUDA computes in FP16 whatever the level.
    /// </summary>
    public static Tensor LinearBlocks(this Tensor x, int bits, Weights w, int outputs, Tensor? bias, string? size)
    {
        var graph = x.Graph;
        bool half = graph.Floats == ElementType.Float16;
        var (values, scale, zeroPoint) = bits == 8
            ? (Part(WeightPart.Int8Blocks), Part(WeightPart.Int8BlockScale), null)
            : (Part(WeightPart.Int4), Part(half ? WeightPart.Int4Scale16 : WeightPart.Int4Scale), Part(WeightPart.Int4ZeroPoint));
        return graph.Node(
            "MatMulNBits", [x, values, scale, zeroPoint, null, bias], outputs,
            [("K", x.Width), ("N", outputs), ("bits", bits), ("block_size", Int4Quantiser.BlockSize), ("accuracy_level", half ? 0 : 4)],
            GraphBuilder.Microsoft, w.Path);

        Tensor? Part(WeightPart part) => w.Quantised(graph, part, outputs, x.Width, size, bits == 4 ? x.Norm : null);
    }

    /// <summary>
    /// Each row as uint8, its largest magnitude farthest from the middle, and a scale [..., 1]: what a step is worth with our operators, else that
    /// magnitude.
    /// </summary>
    static (Tensor Values, Tensor Scale) QuantiseRows(this Tensor x)
    {
        var graph = x.Graph;
        if (graph.IntegerKernels)
        {
            var rows = graph.Node(
                QuantiseRowsOperator.Name, [x], [x.Width, 1], [("range", IntegerProducts.LargestActivation)], CustomOperators.Domain);
            return (rows[0], rows[1]);
        }

        var largest = graph.Node(
            "ReduceMax", [graph.Node("Abs", [x], x.Width), graph.Constant(-1)], 1, [("keepdims", 1)]);
        var scale = graph.Node("Max", [largest, graph.Scalar(1e-30f)], 1);     // a row of zeros stays one
        var values = graph.Node("QuantizeLinear", [x.Divide(scale), graph.Scalar(s_activationStep), graph.Scalar(s_activationZero)], x.Width);
        return (values, scale);
    }

    static Tensor Divide(this Tensor x, Tensor divisor) => x.Graph.Node("Div", [x, divisor], x.Width);
}
