using MedVlm.Graphs.Onnx;

namespace MedVlm.Graphs;

/// <summary>
/// The stored tensors whose rows make a value's channels: a norm's gain and shift, or weight and bias of a linear layer that is only copied, cut,
/// multiplied channel by channel, or averaged by attention on the way. Rows that are divided by a factor divide the channel by it, and what comes
/// after may multiply it back: the function of the whole is the same.
/// </summary>
/// <param name="Tensors">Their names: each [rows], or [rows, anything].</param>
/// <param name="Rows">Their rows.</param>
/// <param name="RowOf">For each channel the row that makes it; grouped-query attention makes several channels from one.</param>
internal sealed record ChannelSource(IReadOnlyList<string> Tensors, int Rows, int[] RowOf)
{
    /// <summary>The source of the value that these layers multiply; null where it has none, or where others would see the change.</summary>
    public static ChannelSource? Find(GraphLinks links, IReadOnlyList<LinearLayer> layers)
    {
        var (value, weights) = (layers[0].Input, layers.Select(layer => layer.Weight).ToHashSet());
        var search = new Search(links);
        search.Reads.UnionWith(links.Readers(value).Where(read => read.Input == 0 && read.Node.Input.Count > 1 && weights.Contains(read.Node.Input[1])));
        return search.Of(value, layers[0].Inputs) is { } source && search.Values.All(seen => links.Readers(seen).All(search.Reads.Contains)) ? source : null;
    }

    sealed class Search(GraphLinks links)
    {
        /// <summary>Values that would change.</summary>
        public HashSet<string> Values { get; } = [];

        /// <summary>Where they may be read.</summary>
        public HashSet<(NodeProto Node, int Input)> Reads { get; } = [];

        public ChannelSource? Of(string value, int width)
        {
            Values.Add(value);
            if (links.Graph.WidthOf(value) is > 0 and var known && known != width)
                return null;
            if (links.LayerOf.TryGetValue(value, out var layer))
                return new(layer.Bias is null ? [layer.Weight] : [layer.Weight, layer.Bias], width, [.. Enumerable.Range(0, width)]);

            return links.Producer(value) is not { } node ? null : node.OpType switch
            {
                "LayerNormalization" or "SimplifiedLayerNormalization" => new([.. node.Input.Skip(1)], width, [.. Enumerable.Range(0, width)]),
                "Split" => Part(node, value, width),
                "GroupQueryAttention" => ForEachHead(node, width),
                "MultiHeadAttention" => Before(node, 2, width),
                "Mul" => Before(node, 1, width),                                                       // gate · up
                "Where" => Before(node, 1, width) is { } one && Before(node, 2, width) is { } other && one.IsSameAs(other) ? one : null,
                "Gather" when Attribute(node, "axis") == 0 => Before(node, 0, width),                  // other rows
                "Reshape" when links.Graph.WidthOf(node.Input[0]) == width => Before(node, 0, width),  // the same channels
                _ => null,
            };
        }

        ChannelSource? Before(NodeProto node, int input, int width)
        {
            Reads.Add((node, input));
            return Of(node.Input[input], width);
        }

        ChannelSource? Part(NodeProto split, string value, int width)
        {
            int before = split.Output.TakeWhile(part => part != value).Sum(links.Graph.WidthOf);
            return Before(split, 0, split.Output.Sum(links.Graph.WidthOf)) is { } whole ? whole with { RowOf = whole.RowOf[before..(before + width)] } : null;
        }

        /// <summary>H heads, each of which reads the values of one of K.</summary>
        ChannelSource? ForEachHead(NodeProto attention, int width)
        {
            int heads = (int)Attribute(attention, "num_heads"), keyValueHeads = (int)Attribute(attention, "kv_num_heads"), size = width / heads;
            return Before(attention, 2, keyValueHeads * size) is { } values
                ? values with { RowOf = [.. Enumerable.Range(0, width).Select(channel => values.RowOf[channel / size / (heads / keyValueHeads) * size + channel % size])] }
                : null;
        }

        static long Attribute(NodeProto node, string name) => node.Attribute.FirstOrDefault(attribute => attribute.Name == name)?.I ?? 0;
    }

    bool IsSameAs(ChannelSource other) => Tensors.SequenceEqual(other.Tensors) && RowOf.SequenceEqual(other.RowOf);
}
