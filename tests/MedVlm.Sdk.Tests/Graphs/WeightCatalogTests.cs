using MedVlm.Graphs;

namespace MedVlm.Tests.Graphs;

public sealed class WeightCatalogTests
{
    const int NumKeyValueHeads = 15, HeadDim = 64;

    static WeightCatalog Catalog(params (string Name, long[] Shape)[] tensors) =>
        new(tensors.ToDictionary(tensor => tensor.Name, tensor => new WeightInfo("model.safetensors", tensor.Shape)));

    static Tensor Input(int width) => new GraphBuilder("test").Input("x", ElementType.Float32, "B", width);

    [Fact]
    public void A_tensor_of_another_shape_is_named_with_the_setting_that_asks_for_it()
    {
        var catalog = Catalog(("model.layers.7.self_attn.k_proj.weight", [320, 960]));

        var error = Assert.Throws<CheckpointException>(
            () => Input(960).Linear(catalog.Root["model.layers.7"]["self_attn.k_proj"], NumKeyValueHeads * HeadDim));

        Assert.Equal(
            "model.safetensors: tensor \"model.layers.7.self_attn.k_proj.weight\" is [320, 960], but config.json (num_key_value_heads * head_dim) "
            + "asks for [960, 960]. Checkpoint and config.json are of different models: take both from one revision.", error.Message);
    }

    [Fact]
    public void A_missing_tensor_is_named()
    {
        var error = Assert.Throws<CheckpointException>(() => Input(4).RmsNorm(Catalog().Root["model.norm"], 1e-5f));

        Assert.Equal(
            "The checkpoint has no tensor \"model.norm.weight\", which config.json asks for as [4]. "
            + "Checkpoint and config.json are of different models, or a shard is missing: take all files from one revision.", error.Message);
    }

    [Fact]
    public void Tensors_that_nothing_reads_are_named()
    {
        var catalog = Catalog(("model.norm.weight", [4]), ("b.weight", [1]), ("a.weight", [1]));
        Input(4).RmsNorm(catalog.Root["model.norm"], 1e-5f);

        var error = Assert.Throws<CheckpointException>(catalog.RefuseSurplus);

        Assert.Equal(
            "model.safetensors: 2 tensors belong to nothing that config.json describes: \"a.weight\", \"b.weight\". "
            + "Checkpoint and config.json are of different models: take both from one revision.", error.Message);
    }
}
