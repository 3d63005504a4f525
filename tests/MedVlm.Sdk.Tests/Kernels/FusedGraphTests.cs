using System.Runtime.InteropServices;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;
using Microsoft.ML.OnnxRuntime;
using Tensor = MedVlm.Graphs.Tensor;

namespace MedVlm.Tests.Kernels;

/// <summary>What graphs say in words is computed alike by ONNX Runtime's operators and by ours, which do several nodes' work at once.</summary>
public sealed class FusedGraphTests
{
    const int Width = 48, Inner = 72, Heads = 3;

    static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>A graph, and how many nodes of which kind it has when it is run.</summary>
    public sealed record Words(string Name, string[] Nodes)
    {
        public override string ToString() => Name;
    }

    public static TheoryData<Words> All => new(
        new Words("linear", ["MatMulInteger", "QuantiseRows", "ScaleRows"]),
        new Words("residual", ["MatMulInteger", "QuantiseRows", "ScaleRows"]),
        new Words("layer norm", ["MatMulInteger", "NormaliseRows", "ScaleRows"]),
        new Words("rms norm", ["MatMulInteger", "NormaliseRows", "ScaleRows"]),
        new Words("layer norm of a residual", ["MatMulInteger", "MatMulInteger", "NormaliseSums", "QuantiseRows", "ScaleRows"]),
        new Words("rms norm of a residual", ["MatMulInteger", "MatMulInteger", "NormaliseSums", "QuantiseRows", "ScaleRows"]),
        new Words("two norms of a residual", ["MatMulInteger", "MatMulInteger", "MatMulInteger", "NormaliseRows", "NormaliseSums", "QuantiseRows", "ScaleRows", "ScaleRows"]),
        new Words("norm that is read twice", ["Add", "LayerNormalization", "MatMulInteger", "NormaliseRows", "ScaleRows"]),
        new Words("gelu tanh", ["ActivateRows", "MatMulInteger", "MatMulInteger", "QuantiseRows", "ScaleRows"]),
        new Words("quick gelu", ["ActivateRows", "MatMulInteger", "MatMulInteger", "QuantiseRows", "ScaleRows"]),
        new Words("gelu", ["Gelu", "MatMulInteger", "MatMulInteger", "QuantiseRows", "QuantiseRows", "ScaleRows", "ScaleRows"]),
        new Words("swiglu", ["ActivateRows", "MatMulInteger", "MatMulInteger", "MatMulInteger", "QuantiseRows", "ScaleRows"]),
        new Words("attention", ["ScaledIntegerAttention", "MatMulInteger", "MatMulInteger", "MatMulInteger", "QuantiseRows"]),
        new Words("attention without a linear layer", ["IntegerAttention"]));

    [Theory, MemberData(nameof(All))]
    public void Ours_and_theirs_agree(Words words)
    {
        Processor.Needed();
        var (theirs, _) = Run(words.Name, integerKernels: false, Values(2 * 5 * Width, 1));
        var (ours, nodes) = Run(words.Name, integerKernels: true, Values(2 * 5 * Width, 1));

        double error = 0, size = 0;
        for (int i = 0; i < theirs.Length; i++)
            (error, size) = (error + Math.Pow(ours[i] - theirs[i], 2), size + Math.Pow(theirs[i], 2));
        Assert.True(Math.Sqrt(error / size) < 0.01, $"relative difference {Math.Sqrt(error / size):e2}");
        Assert.Equal(words.Nodes.Order(), nodes.Where(node => node is not "Identity").Order());
    }

    [Theory, MemberData(nameof(All))]
    public void What_is_not_finite_does_not_get_lost_and_spoils_no_other_image(Words words)
    {
        Processor.Needed();
        foreach (float number in (float[])[float.NaN, float.PositiveInfinity])
        {
            var x = Values(2 * 5 * Width, 1);
            x[Width + 3] = number;
            var (clean, _) = Run(words.Name, integerKernels: true, Values(2 * 5 * Width, 1));
            var (y, _) = Run(words.Name, integerKernels: true, x);
            Assert.Contains(y[Width..(2 * Width)], value => !float.IsFinite(value));
            Assert.Equal(clean[(5 * Width)..], y[(5 * Width)..]);
        }
    }

    static Tensor Build(string words, Tensor x, Weights w) => words switch
    {
        "linear" => x.Linear(w["a"], Width, bias: true),
        "residual" => x + x.Linear(w["a"], Width, bias: true),
        "layer norm" => x.LayerNorm(w["norm"], 1e-5f).Linear(w["a"], Width, bias: true),
        "rms norm" => x.RmsNorm(w["norm"], 1e-5f).Linear(w["a"], Width, bias: true),
        "layer norm of a residual" => Block(x, y => y.LayerNorm(w["norm"], 1e-5f), w),
        "rms norm of a residual" => Block(x, y => y.RmsNorm(w["norm"], 1e-5f), w),
        "two norms of a residual" => Block(x, y => y.LayerNorm(w["norm"], 1e-5f), w, y => y.RmsNorm(w["norm"], 1e-5f).Linear(w["c"], Width)),
        "norm that is read twice" => Twice(x.LayerNorm(w["norm"], 1e-5f), w),
        "gelu tanh" => x.Linear(w["up"], Inner, bias: true).GeluTanh().Linear(w["down"], Width, bias: true),
        "quick gelu" => x.Linear(w["up"], Inner, bias: true).QuickGelu().Linear(w["down"], Width, bias: true),
        "gelu" => x.Linear(w["up"], Inner, bias: true).Gelu().Linear(w["down"], Width, bias: true),
        "swiglu" => (x.Linear(w["gate"], Inner).Silu() * x.Linear(w["up"], Inner, bias: true)).Linear(w["down"], Width),
        "attention" => Attention.Bidirectional(x.Linear(w["a"], Width, bias: true), x.Linear(w["b"], Width, bias: true), x.Linear(w["c"], Width), Heads),
        "attention without a linear layer" => Attention.Bidirectional(x, x, x, Heads),
        _ => throw new ArgumentOutOfRangeException(nameof(words)),
    };

    static Tensor Block(Tensor x, Func<Tensor, Tensor> norm, Weights w, Func<Tensor, Tensor>? beside = null)
    {
        var y = x + x.Linear(w["a"], Width, bias: true);
        var z = y + norm(y).Linear(w["b"], Width);
        return beside is null ? z : z + beside(y);
    }

    static Tensor Twice(Tensor h, Weights w) => h.Linear(w["a"], Width, bias: true) + h;

    static (float[] Y, string[] Nodes) Run(string words, bool integerKernels, float[] x)
    {
        using var folder = new TemporaryFolder();
        WriteWeights(folder);
        using var file = SafetensorsFile.Open(folder.File("model.safetensors"));
        var graph = new GraphBuilder("fused", LinearFormat.Int8, integerKernels: integerKernels);
        var root = new WeightCatalog(file.Tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo("model.safetensors", tensor.Value.Shape))).Root;
        var y = Build(words, graph.Input("x", ElementType.Float32, "B", "T", Width), root);
        graph.Output("y", y, ElementType.Float32, "B", "T", Width);

        using var weights = QuantisedWeights.Load(
            new QuantisedCache(folder.File("cache")), "test", graph.Weights, file.Tensors, new Dictionary<string, LoraDelta>(), "model", Token);
        var nodes = MedVlm.Graphs.Onnx.ModelProto.Parser.ParseFrom(graph.ToBytes(weights.Place)).Graph.Node.Select(node => node.OpType).ToArray();
        using var session = new GraphSession(graph, weights, new RuntimeSettings());
        using var input = OrtValue.CreateTensorValueFromMemory(x, [2, 5, Width]);
        using var options = new RunOptions();
        using var results = session.Session.Run(options, ["x"], [input], ["y"]);
        return (results[0].GetTensorDataAsSpan<float>().ToArray(), nodes);
    }

    static void WriteWeights(TemporaryFolder folder)
    {
        var tensors = new List<(string Name, long[] Shape)> { ("norm.weight", [Width]), ("norm.bias", [Width]) };
        foreach (var (name, outputs, inputs) in new[] { ("a", Width, Width), ("b", Width, Width), ("c", Width, Width), ("up", Inner, Width), ("gate", Inner, Width), ("down", Width, Inner) })
            tensors.AddRange([($"{name}.weight", [outputs, inputs]), ($"{name}.bias", [outputs])]);

        var (header, data) = (new List<string>(), new List<byte>());
        foreach (var (name, shape) in tensors)
        {
            int start = data.Count;
            data.AddRange(MemoryMarshal.AsBytes<float>(Values((int)shape.Aggregate(1L, (product, size) => product * size), name.Length + name[0])));
            header.Add($$"""  "{{name}}":{"dtype":"F32","shape":[{{string.Join(',', shape)}}],"data_offsets":[{{start}},{{data.Count}}]}""");
        }
        folder.Write("model.safetensors", SafetensorsBytes.Of($"{{{string.Join(',', header)}}}", [.. data]));
    }

    static float[] Values(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() - 0.4f) * 2)];
    }
}
