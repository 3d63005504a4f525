using System.Runtime.InteropServices;
using Google.Protobuf;
using MedVlm.Graphs.Onnx;
using MedVlm.Kernels;

namespace MedVlm.Graphs;

/// <summary>Collects the nodes of one ONNX graph. Families never see it: they speak in words on <see cref="Tensor"/>.</summary>
/// <param name="name">Name of the graph.</param>
/// <param name="linears">What linear layers compute in.</param>
/// <param name="floats">What everything else computes in: FP32, or FP16 where a GPU runs it.</param>
/// <param name="integerKernels">Whether the operators of <see cref="CustomOperators"/> are used.</param>
internal sealed class GraphBuilder(
    string name, LinearFormat linears = LinearFormat.Float, ElementType floats = ElementType.Float32, bool integerKernels = false)
{
    public GraphBuilder(string name, GraphFormat format) : this(name, format.Linears, format.Floats, format.IntegerKernels) { }

    /// <summary>ONNX Runtime's own operators (contrib ops).</summary>
    public const string Microsoft = "com.microsoft";

    // 21 is the last opset before ai.onnx got attention and rotary operators of its own, which we do not use.
    const int Opset = 21;
    const int IrVersion = 10;

    readonly GraphProto _graph = new() { Name = name };
    readonly Dictionary<string, WeightUse> _weights = [];
    readonly Dictionary<string, Tensor> _constants = [];
    readonly Dictionary<string, (Tensor, Tensor)> _pairs = [];
    readonly List<GraphInput> _inputs = [];
    readonly List<LinearLayer> _linearLayers = [];
    readonly Dictionary<string, int> _widths = [];
    readonly Dictionary<string, int> _names = [];

    public string Name => name;

    /// <summary>What linear layers compute in.</summary>
    public LinearFormat Linears => linears;

    /// <summary>What everything but linear layers computes in.</summary>
    public ElementType Floats => floats;

    /// <summary>Whether the operators of <see cref="CustomOperators"/> are used, which the session must then know.</summary>
    public bool IntegerKernels => integerKernels;

    /// <summary>What the KV cache holds.</summary>
    public ElementType Cache => new GraphFormat(linears, floats, integerKernels).Cache;

    /// <summary>Stored tensors that the graph asks for, each once, in the order of their first use.</summary>
    public IReadOnlyCollection<WeightUse> Weights => _weights.Values;

    /// <summary>Inputs in the order of their declaration.</summary>
    public IReadOnlyList<GraphInput> Inputs => _inputs;

    /// <summary>Linear layers in the order in which they were added.</summary>
    public IReadOnlyList<LinearLayer> LinearLayers => _linearLayers;

    /// <summary>Tells of a linear layer, whose nodes have been added.</summary>
    public void Add(LinearLayer layer) => _linearLayers.Add(layer);

    /// <summary>Size of a value's last dimension; 0 where it is not known.</summary>
    public int WidthOf(string value) => _widths.GetValueOrDefault(value);

    /// <summary>Nodes in the order in which they were added, which is one that they can be run in.</summary>
    public IReadOnlyList<NodeProto> Nodes => _graph.Node;

    /// <summary>Declares an input of the graph. The host's numbers are FP32 whatever the graph computes in.</summary>
    public Tensor Input(string inputName, ElementType type, params Dim[] shape)
    {
        _inputs.Add(new GraphInput(inputName, type, shape));
        _graph.Input.Add(ValueInfo(inputName, type, shape));
        var input = new Tensor(this, inputName, shape.Length > 0 && shape[^1].Letter is null ? (int)shape[^1].Size : 0);
        return type == ElementType.Float32 && floats != ElementType.Float32 ? Cast(input, floats) : input;
    }

    /// <summary>What the graph computes in, as the FP32 that the host reads.</summary>
    public Tensor ToHost(Tensor value) => floats == ElementType.Float32 ? value : Cast(value, ElementType.Float32);

    /// <summary>What is FP32, as what the graph computes in.</summary>
    public Tensor ToFloats(Tensor wide) => floats == ElementType.Float32 ? wide : Cast(wide, floats);

    Tensor Cast(Tensor value, ElementType type) => Node("Cast", [value], value.Width, [("to", (int)type)]);

    /// <summary>Makes <paramref name="value"/> an output of the graph, under a name of its own.</summary>
    public void Output(string outputName, Tensor value, ElementType type, params Dim[] shape)
    {
        Add("Identity", "", [value.Name], [outputName], outputName, []);
        OutputOf(outputName, type, shape);
    }

    /// <summary>Declares an output that a node writes under this very name.</summary>
    public void OutputOf(string outputName, ElementType type, params Dim[] shape) =>
        _graph.Output.Add(ValueInfo(outputName, type, shape));

    /// <summary>A node with one output.</summary>
    /// <param name="op">Operator.</param>
    /// <param name="inputs">Inputs; null leaves an optional one out.</param>
    /// <param name="width">Size of the output's last dimension, 0 if unknown.</param>
    /// <param name="attributes">Attributes: long, float, string or long[].</param>
    /// <param name="domain">Empty for ONNX's own operators.</param>
    /// <param name="scope">Checkpoint path that names the node, where it has a weight.</param>
    public Tensor Node(
        string op, Tensor?[] inputs, int width, (string Name, object Value)[]? attributes = null, string domain = "", string? scope = null)
    {
        var output = Unique(scope is null ? op : $"{scope}/{op}");
        Add(op, domain, inputs.Select(i => i?.Name ?? ""), [output], output, attributes ?? []);
        _widths[output] = width;
        return new Tensor(this, output, width);
    }

    /// <summary>A node with one output for each width.</summary>
    public Tensor[] Node(string op, Tensor?[] inputs, int[] widths, (string Name, object Value)[] attributes, string domain = "")
    {
        var outputs = widths.Select(_ => Unique(op)).ToArray();
        Node(op, inputs, outputs, attributes, domain);
        foreach (var (output, width) in outputs.Zip(widths))
            _widths[output] = width;
        return [.. outputs.Zip(widths, (output, width) => new Tensor(this, output, width))];
    }

    /// <summary>A node with outputs of given names.</summary>
    public void Node(
        string op, Tensor?[] inputs, string[] outputs, (string Name, object Value)[] attributes, string domain) =>
        Add(op, domain, inputs.Select(i => i?.Name ?? ""), outputs, Unique(op), attributes);

    /// <summary>A stored tensor as a value of the graph, in the shape that the graph wants it in.</summary>
    public Tensor Weight(WeightUse use)
    {
        _weights.TryAdd(use.Initializer, use);
        return new Tensor(this, use.Initializer, (int)use.Shape[^1]);
    }

    public Tensor Constant(params long[] values) =>
        Constant($"const_i64_{string.Join('_', values)}", ElementType.Int64, [values.Length], MemoryMarshal.AsBytes<long>(values));

    public Tensor Scalar(byte value) => Constant($"const_u8_{value}", ElementType.UInt8, [], [value]);

    /// <summary>A pair of values that is computed once, for whoever asks for it first, and shared with all who ask after.</summary>
    public (Tensor, Tensor) Once(string key, Func<(Tensor, Tensor)> compute) =>
        _pairs.TryGetValue(key, out var known) ? known : _pairs[key] = compute();

    public Tensor Scalar(float value) =>
        Constant($"const_f32_{BitConverter.SingleToInt32Bits(value):x8}", ElementType.Float32, [], MemoryMarshal.AsBytes<float>([value]));

    /// <summary>
    /// The model's bytes. Weights are declared as external data at <paramref name="location"/>; where they lie there as another type, a
    /// Cast widens them, which ONNX Runtime computes once when it loads the graph.
    /// </summary>
    public byte[] ToBytes(Func<WeightUse, ExternalData> location)
    {
        var graph = _graph.Clone();
        graph.Node.Clear();
        foreach (var use in _weights.Values)
        {
            var place = location(use);
            var initializer = use.Initializer;
            if (place.Type != use.Type)
            {
                initializer = $"{use.Initializer}/{place.Type}";
                graph.Node.Add(Node("Cast", "", [initializer], [use.Initializer], initializer, [("to", (int)use.Type)]));
            }
            graph.Initializer.Add(new TensorProto
            {
                Name = initializer,
                DataType = (int)place.Type,
                Dims = { use.Shape },
                DataLocation = TensorProto.Types.DataLocation.External,
                ExternalData =
                {
                    new StringStringEntryProto { Key = "location", Value = place.FileName },
                    new StringStringEntryProto { Key = "offset", Value = $"{place.Offset}" },
                    new StringStringEntryProto { Key = "length", Value = $"{place.Length}" },
                },
            });
        }
        graph.Node.Add(_graph.Node);
        if (integerKernels)
            IntegerFusion.Apply(graph.Node);
        DropUnread(graph);

        var model = new ModelProto
        {
            IrVersion = IrVersion,
            ProducerName = "MedVlm.Sdk",
            Graph = graph,
            OpsetImport =
            {
                new OperatorSetIdProto { Domain = "", Version = Opset },
                new OperatorSetIdProto { Domain = Microsoft, Version = 1 },
            },
        };
        if (integerKernels)
            model.OpsetImport.Add(new OperatorSetIdProto { Domain = CustomOperators.Domain, Version = 1 });
        return model.ToByteArray();
    }

    /// <summary>Removes nodes whose results neither a node nor an output takes.</summary>
    static void DropUnread(GraphProto graph)
    {
        var read = graph.Output.Select(output => output.Name).ToHashSet();
        for (int i = graph.Node.Count - 1; i >= 0; i--)
        {
            if (graph.Node[i].Output.Any(read.Contains))
                read.UnionWith(graph.Node[i].Input);
            else
                graph.Node.RemoveAt(i);
        }
    }

    Tensor Constant(string constantName, ElementType type, long[] dims, ReadOnlySpan<byte> bytes)
    {
        if (_constants.TryGetValue(constantName, out var known))
            return known;

        _graph.Initializer.Add(new TensorProto
        {
            Name = constantName, DataType = (int)type, Dims = { dims }, RawData = ByteString.CopyFrom(bytes),
        });
        return _constants[constantName] = new Tensor(this, constantName, dims is [.., var last] ? (int)last : 0);
    }

    void Add(
        string op, string domain, IEnumerable<string> inputs, string[] outputs, string nodeName, (string Name, object Value)[] attributes) =>
        _graph.Node.Add(Node(op, domain, inputs, outputs, nodeName, attributes));

    static NodeProto Node(
        string op, string domain, IEnumerable<string> inputs, string[] outputs, string nodeName, (string Name, object Value)[] attributes) => new()
    {
        OpType = op, Domain = domain, Name = nodeName, Input = { inputs }, Output = { outputs },
        Attribute = { attributes.Select(attribute => Attribute(attribute.Name, attribute.Value)) },
    };

    static AttributeProto Attribute(string key, object value) => value switch
    {
        int i => new() { Name = key, I = i, Type = AttributeProto.Types.AttributeType.Int },
        long i => new() { Name = key, I = i, Type = AttributeProto.Types.AttributeType.Int },
        float f => new() { Name = key, F = f, Type = AttributeProto.Types.AttributeType.Float },
        string s => new() { Name = key, S = ByteString.CopyFromUtf8(s), Type = AttributeProto.Types.AttributeType.String },
        long[] list => new() { Name = key, Ints = { list }, Type = AttributeProto.Types.AttributeType.Ints },
        _ => throw new ArgumentException($"An attribute cannot hold a {value.GetType().Name}.", nameof(value)),
    };

    static ValueInfoProto ValueInfo(string valueName, ElementType type, Dim[] shape)
    {
        var dims = new TensorShapeProto();
        foreach (var dim in shape)
            dims.Dim.Add(dim.Letter is null
                ? new TensorShapeProto.Types.Dimension { DimValue = dim.Size }
                : new TensorShapeProto.Types.Dimension { DimParam = dim.Letter });

        return new() { Name = valueName, Type = new() { TensorType = new() { ElemType = (int)type, Shape = dims } } };
    }

    string Unique(string wanted)
    {
        int count = _names[wanted] = _names.GetValueOrDefault(wanted) + 1;
        return count == 1 ? wanted : $"{wanted}_{count}";
    }
}

/// <summary>An input of a graph, as declared.</summary>
internal sealed record GraphInput(string Name, ElementType Type, IReadOnlyList<Dim> Shape);

/// <summary>Where the bytes of an initializer lie: file name within the weights' folder, the bytes' place in it, and what they are.</summary>
internal readonly record struct ExternalData(string FileName, long Offset, long Length, ElementType Type);
