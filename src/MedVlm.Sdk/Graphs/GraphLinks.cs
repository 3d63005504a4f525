using MedVlm.Graphs.Onnx;

namespace MedVlm.Graphs;

/// <summary>Who makes each value of a graph, and who reads it.</summary>
internal sealed class GraphLinks
{
    readonly Dictionary<string, NodeProto> _producers = [];
    readonly ILookup<string, (NodeProto Node, int Input)> _readers;

    public GraphLinks(GraphBuilder graph)
    {
        Graph = graph;
        foreach (var node in graph.Nodes)
            foreach (var output in node.Output)
                _producers[output] = node;
        _readers = graph.Nodes.SelectMany(node => node.Input.Select((value, input) => (value, node, input))).ToLookup(read => read.value, read => (read.node, read.input));
        LayerOf = graph.LinearLayers.ToDictionary(layer => layer.Output);
    }

    public GraphBuilder Graph { get; }

    /// <summary>The linear layers by the value that they make.</summary>
    public IReadOnlyDictionary<string, LinearLayer> LayerOf { get; }

    /// <summary>The node that makes a value; null for an input of the graph or a stored tensor.</summary>
    public NodeProto? Producer(string value) => _producers.GetValueOrDefault(value);

    /// <summary>All places where a value is read.</summary>
    public IEnumerable<(NodeProto Node, int Input)> Readers(string value) => _readers[value];
}
