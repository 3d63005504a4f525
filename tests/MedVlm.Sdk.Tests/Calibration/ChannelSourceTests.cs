using MedVlm.Graphs;

namespace MedVlm.Tests.Calibration;

/// <summary>Which stored tensors make the channels that linear layers multiply, and so could make them smaller.</summary>
public sealed class ChannelSourceTests
{
    const int Width = 32, Inner = 12, Heads = 4, KeyValueHeads = 2, HeadSize = 8;

    // What the layer "down" or "down_proj" reads, the tensors that make it, and the rows that make its first, ninth and last channel.
    [Theory]
    [InlineData("layer norm", "norm.weight norm.bias", "0 8 31")]
    [InlineData("rms norm of the last rows", "norm.weight", "0 8 31")]
    [InlineData("rows of a norm", "norm.weight", "0 8 31")]
    [InlineData("swiglu", "up_proj.weight up_proj.bias", "0 8 11")]
    [InlineData("packed swiglu", "gate_up_proj.weight", "12 20 23")]
    [InlineData("attention", "v.weight v.bias", "0 8 31")]
    [InlineData("attention of packed projections", "qkv.weight", "64 72 95")]
    [InlineData("grouped-query attention", "v16.weight", "0 0 15")]
    [InlineData("attention after a prefix", "v.weight v.bias", "0 8 31")]

    // Another reader would see the change, or it would not come out as a factor.
    [InlineData("norm that a residual reads", "", "")]
    [InlineData("norm that another layer uses too", "", "")]
    [InlineData("values that are an output", "", "")]
    [InlineData("attention after a prefix, heads shared", "", "")]
    [InlineData("gelu", "", "")]
    [InlineData("merged rows of a norm", "", "")]
    [InlineData("sum", "", "")]
    public void Finds_what_makes_the_channels(string words, string tensors, string rows)
    {
        var graph = new GraphBuilder("test");
        graph.Output("y", Build(words, graph.Input("x", ElementType.Float32, "B", "T", Width), Root), ElementType.Float32, "B", "T", Width);

        var group = Assert.Single(LinearGroup.Of(graph)[0], group => group.Layers.Any(layer => layer.Weight.StartsWith("down", StringComparison.Ordinal)));

        Assert.Equal(tensors, string.Join(' ', group.Source?.Tensors ?? []));
        Assert.Equal(rows, group.Source is { RowOf: var rowOf } ? $"{rowOf[0]} {rowOf[8]} {rowOf[^1]}" : "");
    }

    [Fact]
    public void Layers_that_read_the_same_values_are_a_group()
    {
        var graph = new GraphBuilder("test");
        var h = graph.Input("x", ElementType.Float32, "B", "T", Width).RmsNorm(Root["norm"], 1e-5f);
        graph.Output("y", h.Linear(Root["q"], Width) + h.Linear(Root["k"], Width), ElementType.Float32, "B", "T", Width);

        var group = Assert.Single(LinearGroup.Of(graph)[0]);

        Assert.Equal(["q.weight", "k.weight"], group.Layers.Select(layer => layer.Weight));
        Assert.Equal(["norm.weight"], group.Source!.Tensors);
    }

    static Tensor Build(string words, Tensor x, Weights w)
    {
        var graph = x.Graph;
        Tensor Rows() => graph.Input("rows", ElementType.Int64, "B");
        Tensor Project(string name) => x.Linear(w[name], Width, bias: name == "v");
        Tensor Down(Tensor values) => values.Linear(w["down"], Width);
        return words switch
        {
            "layer norm" => Down(x.LayerNorm(w["norm"], 1e-5f)),
            "rms norm of the last rows" => Down(x.LastToken(Rows()).RmsNorm(w["norm"], 1e-5f)),
            "rows of a norm" => Down(x.RmsNorm(w["norm"], 1e-5f).Rows(Rows())),
            "swiglu" => x.SwiGlu(w, Inner, bias: true),
            "packed swiglu" => x.PackedSwiGlu(w, Inner),
            "attention" => Down(Attention.Bidirectional(Project("q"), Project("k"), Project("v"), Heads)),
            "attention of packed projections" => Down(Packed(x.Linear(w["qkv"], 3 * Width).Split(Width, Width, Width))),
            "grouped-query attention" => Down(Causal(Project("q"), x.Linear(w["k16"], Width / 2), x.Linear(w["v16"], Width / 2), KeyValueHeads)),
            "attention after a prefix" => Down(AfterPrefix(Project("q"), Project("k"), Project("v"), Heads)),
            "norm that a residual reads" => Residual(x.RmsNorm(w["norm"], 1e-5f)),
            "norm that another layer uses too" => Down(x.RmsNorm(w["norm"], 1e-5f)) + x.RmsNorm(w["norm"], 1e-5f).Linear(w["q"], Width),
            "values that are an output" => Seen(Project("v")),
            "attention after a prefix, heads shared" => Down(AfterPrefix(Project("q"), x.Linear(w["k16"], Width / 2), x.Linear(w["v16"], Width / 2), KeyValueHeads)),
            "gelu" => Down(Project("v").GeluTanh()),
            "merged rows of a norm" => x.RmsNorm(w["norm"], 1e-5f).Reshape(0, -1, 4 * Width).Linear(w["down128"], Width),
            "sum" => Down(Project("q") + Project("v")),
            _ => throw new ArgumentOutOfRangeException(nameof(words)),
        };

        Tensor Packed(Tensor[] qkv) => Attention.Bidirectional(qkv[0], qkv[1], qkv[2], Heads);
        Tensor Residual(Tensor h) => h + Down(h);
        Tensor Causal(Tensor q, Tensor k, Tensor v, int keyValueHeads) => Attention.Causal(q, k, v, Cache(), Lengths(), Heads, keyValueHeads);
        Tensor AfterPrefix(Tensor q, Tensor k, Tensor v, int keyValueHeads) =>
            Attention.CausalAfterPrefix(q, k, v, Cache(), Lengths(), graph.Input("sees_all", ElementType.Bool, 1), Heads, keyValueHeads);
        Tensor Seen(Tensor v)
        {
            graph.Output("values", v, ElementType.Float32, "B", "T", Width);
            return Down(Attention.Bidirectional(Project("q"), Project("k"), v, Heads));
        }
        KvCacheLayer Cache() => new(
            graph.Input("past_key", ElementType.Float32, "B", "K", "S", HeadSize), graph.Input("past_value", ElementType.Float32, "B", "K", "S", HeadSize),
            "present_key", "present_value");
        SequenceLengths Lengths() => new(graph.Input("past", ElementType.Int32, "B"), graph.Input("total", ElementType.Int32, 1));
    }

    static Weights Root { get; } = new WeightCatalog(Shapes().ToDictionary(tensor => tensor.Name, tensor => new WeightInfo("f", tensor.Shape))).Root;

    static IEnumerable<(string Name, long[] Shape)> Shapes()
    {
        yield return ("norm.weight", [Width]);
        yield return ("norm.bias", [Width]);
        foreach (var (name, outputs, inputs) in new[]
        {
            ("q", Width, Width), ("k", Width, Width), ("v", Width, Width), ("k16", Width / 2, Width), ("v16", Width / 2, Width), ("qkv", 3 * Width, Width), ("down", Width, Width),
            ("down128", Width, 4 * Width), ("gate_proj", Inner, Width), ("up_proj", Inner, Width), ("down_proj", Width, Inner), ("gate_up_proj", 2 * Inner, Width),
        })
        {
            yield return ($"{name}.weight", [outputs, inputs]);
            yield return ($"{name}.bias", [outputs]);
        }
    }
}
