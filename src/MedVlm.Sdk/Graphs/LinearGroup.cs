namespace MedVlm.Graphs;

/// <summary>All linear layers that multiply one value (query, key and value; gate and up), and what that value is made by.</summary>
/// <param name="Input">The value.</param>
/// <param name="Width">Its channels.</param>
/// <param name="Layers">The layers.</param>
/// <param name="Source">Stored tensors that could make a channel smaller by any factor, with nothing else in the graph changed; null where none could.</param>
internal sealed record LinearGroup(string Input, int Width, IReadOnlyList<LinearLayer> Layers, ChannelSource? Source)
{
    /// <summary>The groups of a model's graphs, which compute in floating point: there a tensor is an input under its own name.</summary>
    public static IReadOnlyList<IReadOnlyList<LinearGroup>> Of(params IReadOnlyList<GraphBuilder> graphs)
    {
        var uses = graphs.SelectMany(graph => graph.Nodes).SelectMany(node => node.Input).CountBy(name => name).ToDictionary();
        return [.. graphs.Select(graph => Of(graph, uses))];
    }

    static List<LinearGroup> Of(GraphBuilder graph, Dictionary<string, int> uses)
    {
        var nodes = new GraphLinks(graph);
        return [.. graph.LinearLayers.GroupBy(layer => layer.Input).Select(group =>
        {
            IReadOnlyList<LinearLayer> layers = [.. group];
            var source = ChannelSource.Find(nodes, layers);

            // A tensor that somebody else reads too cannot change.
            bool isOwn = source is not null && source.Tensors.Concat(layers.Select(layer => layer.Weight)).All(tensor => uses[tensor] == 1);
            return new LinearGroup(group.Key, layers[0].Inputs, layers, isOwn ? source : null);
        })];
    }
}
