using MedVlm.Graphs.Onnx;
using MedVlm.Kernels;

namespace MedVlm.Graphs;

/// <summary>
/// Puts nodes between linear layers on integers together where one of <see cref="CustomOperators"/> does the work of several in one pass over memory:
/// scale, bias and residual sum, with the norm and rounding of the sum; norm and rounding; activation, gate and rounding; scale, bias and attention. Values that are read elsewhere too
/// are computed as before; what nobody reads any more is for the caller to drop.
/// </summary>
internal static class IntegerFusion
{
    /// <summary>Replaces nodes by ones that do more.</summary>
    /// <param name="nodes">Nodes of a graph, in an order in which they can be run.</param>
    public static void Apply(IList<NodeProto> nodes)
    {
        var producers = new Dictionary<string, NodeProto>();
        for (int i = 0; i < nodes.Count; i++)
        {
            if (nodes[i].OpType == QuantiseRowsOperator.Name && NormalisedSum(nodes[i], producers) is var (sum, fused))
            {
                // Where the sum was, so that whoever reads it comes after it; all that a norm reads besides is there from the beginning.
                nodes[nodes.IndexOf(sum)] = fused;
                nodes.RemoveAt(i--);
                foreach (var output in fused.Output)
                    producers[output] = fused;
                continue;
            }

            nodes[i] = nodes[i].OpType switch
            {
                "Add" => ScaledSum(nodes[i], producers) ?? nodes[i],
                QuantiseRowsOperator.Name => NormalisedRows(nodes[i], producers) ?? ActivatedRows(nodes[i], producers) ?? nodes[i],
                IntegerAttentionOperator.Name => ScaledAttention(nodes[i], producers) ?? nodes[i],
                _ => nodes[i],
            };
            foreach (var output in nodes[i].Output)
                producers[output] = nodes[i];
        }
    }

    /// <summary>x + a linear layer's output.</summary>
    static NodeProto? ScaledSum(NodeProto add, Dictionary<string, NodeProto> producers)
    {
        if (!Scales(producers, add.Input[1], out var linear))
            return null;

        return Node(add, ScaleRowsOperator.Name, [.. linear, add.Input[0]]);
    }

    /// <summary>LayerNorm or RMSNorm of x + a linear layer's output, before linear layers.</summary>
    /// <returns>The sum's node, and what takes its place.</returns>
    static (NodeProto Sum, NodeProto Fused)? NormalisedSum(NodeProto rows, Dictionary<string, NodeProto> producers)
    {
        if (Norm(rows, producers) is not { } norm
            || producers.GetValueOrDefault(norm.Input[0]) is not { OpType: ScaleRowsOperator.Name, Input: [var x, var scales, var columns, var bias, var residual] } sum)
            return null;

        // Gain and shift must be there before the sum: weights, or what widens them.
        string shift = norm.Input.ElementAtOrDefault(2) ?? "";
        if (norm.Input.Skip(1).Any(weight => producers.GetValueOrDefault(weight) is not (null or { OpType: "Cast" })))
            return null;

        var fused = Node(rows, NormaliseSumsOperator.Name, [x, scales, columns, residual, norm.Input[1], bias, shift], [.. rows.Attribute, Epsilon(norm)]);
        fused.Output.Insert(0, sum.Output[0]);
        return (sum, fused);
    }

    /// <summary>LayerNorm or RMSNorm before linear layers.</summary>
    static NodeProto? NormalisedRows(NodeProto rows, Dictionary<string, NodeProto> producers) =>
        Norm(rows, producers) is { } norm ? Node(rows, NormaliseRowsOperator.Name, norm.Input, [.. rows.Attribute, Epsilon(norm)]) : null;

    /// <summary>LayerNorm or RMSNorm whose result is rounded.</summary>
    static NodeProto? Norm(NodeProto rows, Dictionary<string, NodeProto> producers) =>
        producers.GetValueOrDefault(rows.Input[0]) is var norm
        && norm is { OpType: "LayerNormalization", Input.Count: 3 } or { OpType: "SimplifiedLayerNormalization", Input.Count: 2 } ? norm : null;

    static AttributeProto Epsilon(NodeProto norm) => norm.Attribute.Single(attribute => attribute.Name == "epsilon").Clone();

    /// <summary>An activation of a linear layer, times another one's output if it is a gate, before the next layer.</summary>
    static NodeProto? ActivatedRows(NodeProto rows, Dictionary<string, NodeProto> producers)
    {
        var input = producers.GetValueOrDefault(rows.Input[0]);
        var activation = input is { OpType: "Mul" } ? producers.GetValueOrDefault(input.Input[0]) : input;
        if (activation is null || Constants(activation) is not var (alpha, beta) || !Scales(producers, activation.Input[0], out var linear))
            return null;

        string[] gated = [];
        if (activation != input && !Scales(producers, input!.Input[1], out gated))
            return null;

        var fused = Node(rows, ActivateRowsOperator.Name, [.. linear, .. gated], rows.Attribute);
        fused.Attribute.Add(Attribute("alpha", alpha));
        fused.Attribute.Add(Attribute("beta", beta));
        return fused;
    }

    /// <summary>Attention of queries, keys and values that linear layers made.</summary>
    static NodeProto? ScaledAttention(NodeProto attention, Dictionary<string, NodeProto> producers)
    {
        if (!Scales(producers, attention.Input[0], out var q) || !Scales(producers, attention.Input[1], out var k) || !Scales(producers, attention.Input[2], out var v))
            return null;

        string lengths = attention.Input.ElementAtOrDefault(3) ?? "";
        return Node(
            attention, IntegerAttentionOperator.ScaledName,
            [q[0], k[0], v[0], q[1], q[2], k[1], k[2], v[1], v[2], lengths, q[3], k[3], v[3]], attention.Attribute);
    }

    /// <summary>Product, scales of rows and of columns, and bias ("" for none) of a value that <see cref="ScaleRowsOperator"/> makes without a residual.</summary>
    static bool Scales(Dictionary<string, NodeProto> producers, string value, out string[] inputs)
    {
        var scaling = producers.GetValueOrDefault(value);
        inputs = scaling is { OpType: ScaleRowsOperator.Name, Input.Count: <= 4 } ? [.. scaling.Input.Concat([""]).Take(4)] : [];
        return inputs.Length > 0;
    }

    static (float Alpha, float Beta)? Constants(NodeProto activation) => activation.OpType switch
    {
        "QuickGelu" => (activation.Attribute.Single(attribute => attribute.Name == "alpha").F, 0),
        "FastGelu" => (ActivateRowsOperator.GeluAlpha, ActivateRowsOperator.GeluBeta),
        _ => null,
    };

    static NodeProto Node(NodeProto replaced, string op, IEnumerable<string> inputs, IEnumerable<AttributeProto>? attributes = null) => new()
    {
        OpType = op, Domain = CustomOperators.Domain, Name = replaced.Name, Input = { inputs }, Output = { replaced.Output }, Attribute = { attributes ?? [] },
    };

    static AttributeProto Attribute(string name, float value) => new() { Name = name, F = value, Type = AttributeProto.Types.AttributeType.Float };
}
