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
        [":Cast"] = s_any, [":Concat"] = s_any, [":Gather"] = s_any, [":Identity"] = s_any, [":Reshape"] = s_any, [":ScatterND"] = s_any, [":Split"] = s_any,
        [":Transpose"] = s_any, [":Where"] = s_any,
        // ai.onnx operators whose kernel on "CUDA" reads shapes, which are on the CPU anyway
        [":Shape"] = s_any,
    };

    /// <summary>Nodes that are known to run on the CPU, with the reason.</summary>
    static readonly Dictionary<string, string> s_onCpu = new()
    {
        // One for each run of the decoder, at its very end: the logits of the last tokens are copied to the host, 4 bytes for each word of
        // the vocabulary and caption. Where that counts, TopK with k = 1 has a kernel.
        [":ArgMax"] = "CUDA's kernel ends at opset 11, before select_last_index",
    };

    public static TheoryData<string, string> Graphs => [.. FullSizeModel.Families.SelectMany(family => new[] { (family, "vision"), (family, "decoder") })];

    [Theory, MemberData(nameof(Graphs))]
    public void Every_node_has_a_CUDA_kernel(string family, string graph) => Assert.Empty(OnCpu(Graph(family, graph), types: false));

    [Theory, MemberData(nameof(Graphs))]
    public void In_FP16_every_node_has_a_CUDA_kernel_of_its_type(string family, string graph) => Assert.Empty(OnCpu(Graph(family, graph), types: true));

    [Theory, MemberData(nameof(Graphs))]
    public void What_runs_on_the_CPU_is_one_node_after_the_last_layer(string family, string graph)
    {
        var nodes = Graph(family, graph).Nodes;

        var known = nodes.Select((node, place) => (Key: Key(node), place)).Where(node => s_onCpu.ContainsKey(node.Key)).ToList();

        Assert.True(known.Count <= (graph == "decoder" ? 1 : 0), string.Join(", ", known));
        Assert.All(known, node => Assert.True(node.place > nodes.Count - 8));
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

        Assert.Equal([":CumSum: no kernel"], OnCpu(graph, types: false));
        Assert.Equal([":CumSum: no kernel", ":Pad: no kernel for Int64"], OnCpu(graph, types: true));
    }

    static GraphBuilder Graph(string family, string graph)
    {
        var graphs = FullSizeModel.Of(family).Graphs;
        return graph == "vision" ? graphs.Vision : graphs.Decoder;
    }

    /// <summary>Nodes that no kernel takes. The graphs are written in FP32 today: for their types, FP16 is put in its place.</summary>
    static IReadOnlyList<string> OnCpu(GraphBuilder graph, bool types)
    {
        var known = graph.Inputs.ToDictionary(input => input.Name, input => input.Type == F32 ? F16 : input.Type);
        var missing = new List<string>();
        foreach (var node in graph.Nodes)
        {
            var type = TypeOf(node.Input[node.OpType == "Where" ? 1 : 0]);
            foreach (var output in node.Output)
                known[output] = node.OpType switch
                {
                    "ArgMax" or "Shape" => I64,
                    "Cast" => (ElementType)node.Attribute.Single(attribute => attribute.Name == "to").I,
                    _ => type,
                };
            if (s_onCpu.ContainsKey(Key(node)))
                continue;
            if (!s_kernels.TryGetValue(Key(node), out var kernels))
                missing.Add($"{Key(node)}: no kernel");
            else if (types && !kernels.Contains(type))
                missing.Add($"{Key(node)}: no kernel for {type}");
        }
        return [.. missing.Distinct()];

        // Constants say their type in their name; weights are FP16.
        ElementType TypeOf(string value) =>
            known.TryGetValue(value, out var type) ? type : value.StartsWith("const_i64", StringComparison.Ordinal) ? I64 : F16;
    }

    static string Key(NodeProto node) => $"{node.Domain}:{node.OpType}";
}
