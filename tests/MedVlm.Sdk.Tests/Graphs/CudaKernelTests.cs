using MedVlm.Graphs;
using MedVlm.Graphs.Onnx;
using MedVlm.Tests.Models;

namespace MedVlm.Tests.Graphs;

/// <summary>
/// Every graph of every family, node by node, against the kernels of ONNX Runtime's CUDA execution provider: what has none would run on
/// the CPU, with a copy to and fro. No GPU is needed for it.
/// </summary>
public sealed class CudaKernelTests
{
    const ElementType F32 = ElementType.Float32, F16 = ElementType.Float16, BF16 = ElementType.BFloat16, I32 = ElementType.Int32, I64 = ElementType.Int64, Bool = ElementType.Bool;

    static readonly ElementType[] s_floats = [F32, F16, BF16], s_floatsNoBf16 = [F32, F16], s_any = [F32, F16, BF16, I32, I64, Bool];

    /// <summary>
    /// Types T of the CUDA kernels at opset 21 (docs/OperatorKernels.md of ONNX Runtime, and its register of kernels): of the first input,
    /// of Where's second.
    /// </summary>
    static readonly Dictionary<string, ElementType[]> s_kernels = new()
    {
        // com.microsoft
        ["com.microsoft:GroupQueryAttention"] = [F16, BF16],      // no FP32: the reason that CUDA computes in FP16
        ["com.microsoft:MultiHeadAttention"] = s_floats,
        ["com.microsoft:MatMulNBits"] = s_floats,
        ["com.microsoft:GatherBlockQuantized"] = s_floats,
        ["com.microsoft:RotaryEmbedding"] = s_floats,
        ["com.microsoft:FusedMatMul"] = s_floats,
        ["com.microsoft:BiasGelu"] = s_floats,
        ["com.microsoft:FastGelu"] = s_floats,
        ["com.microsoft:Gelu"] = s_floats,
        ["com.microsoft:QuickGelu"] = s_floats,
        ["com.microsoft:SkipLayerNormalization"] = s_floats,
        ["com.microsoft:SkipSimplifiedLayerNormalization"] = s_floats,
        // ai.onnx
        [":SimplifiedLayerNormalization"] = s_floats,
        [":LayerNormalization"] = s_floats,
        [":MatMul"] = s_floats,
        [":Softmax"] = s_floats,
        [":Add"] = [F32, F16, BF16, I32, I64], [":Sub"] = [F32, F16, BF16, I32, I64], [":Mul"] = [F32, F16, BF16, I32, I64], [":Div"] = [F32, F16, BF16, I32, I64],
        [":Max"] = [F32, F16, BF16, I32, I64],
        [":Pad"] = [F32, F16, Bool],
        [":ReduceMax"] = [F32, F16, I32, I64],
        [":ReduceLogSumExp"] = s_floatsNoBf16,
        [":TopK"] = [F32, F16, I32, I64],
        [":Cast"] = s_any, [":Concat"] = s_any, [":Gather"] = s_any, [":Identity"] = s_any, [":Reshape"] = s_any, [":ScatterND"] = s_any, [":Split"] = s_any,
        [":Transpose"] = s_any, [":Where"] = s_any,
        // ai.onnx operators whose kernel on "CUDA" reads shapes, which are on the CPU anyway
        [":Shape"] = s_any,
    };

    public static TheoryData<string, Precision> Models =>
        [.. FullSizeModel.Families.SelectMany(family => new[] { Precision.Fp16, Precision.Int8, Precision.Int4 }.Select(precision => (family, precision)))];

    [Theory, MemberData(nameof(Models))]
    public void Every_node_has_a_CUDA_kernel_of_its_type(string family, Precision precision)
    {
        var graphs = FullSizeModel.Of(family, precision: precision, device: DeviceKind.Cuda).Graphs;

        Assert.Empty(OnCpu(graphs.Vision));
        Assert.Empty(OnCpu(graphs.Decoder));
    }

    public static TheoryData<string> Families => [.. FullSizeModel.Families];

    [Theory, MemberData(nameof(Families))]
    public void Heads_of_the_cache_are_of_a_size_that_CUDA_takes(string family) => Assert.Equal(0, FullSizeModel.Of(family).Family.Shape.HeadSize % 8);

    [Fact]
    public void A_node_without_a_kernel_is_found()
    {
        var graph = new GraphBuilder("test");
        var x = graph.Input("x", F32, "B", 4);
        graph.Node("CumSum", [x, graph.Constant(1)], 4);
        graph.Node("Pad", [graph.Input("n", I64, "B"), graph.Constant(0, 1)], 1);

        Assert.Equal([":CumSum: no kernel", ":Pad: no kernel for Int64"], OnCpu(graph));
    }

    /// <summary>Nodes that no kernel takes.</summary>
    static IReadOnlyList<string> OnCpu(GraphBuilder graph)
    {
        var known = graph.Inputs.ToDictionary(input => input.Name, input => input.Type);
        foreach (var weight in graph.Weights)
            known[weight.Initializer] = weight.Type;

        var missing = new List<string>();
        foreach (var node in graph.Nodes)
        {
            var type = TypeOf(node.Input[node.OpType == "Where" ? 1 : 0]);
            foreach (var (place, output) in node.Output.Index())
                known[output] = node.OpType switch
                {
                    "Shape" => I64,
                    "TopK" when place == 1 => I64,
                    "Cast" => (ElementType)node.Attribute.Single(attribute => attribute.Name == "to").I,
                    _ => type,
                };
            if (!s_kernels.TryGetValue(Key(node), out var kernels))
                missing.Add($"{Key(node)}: no kernel");
            else if (!kernels.Contains(type))
                missing.Add($"{Key(node)}: no kernel for {type}");
        }
        return [.. missing.Distinct()];

        // Constants say their type in their name.
        ElementType TypeOf(string value) => known.TryGetValue(value, out var type) ? type
            : value.StartsWith("const_i64", StringComparison.Ordinal) ? I64
            : value.StartsWith("const_f32", StringComparison.Ordinal) ? F32 : throw new InvalidOperationException($"Nothing gives {value}.");
    }

    static string Key(NodeProto node) => $"{node.Domain}:{node.OpType}";
}
