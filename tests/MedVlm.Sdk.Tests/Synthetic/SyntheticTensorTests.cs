using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using MedVlm.Benchmarks;
using MedVlm.Benchmarks.Synthetic;

namespace MedVlm.Tests.Synthetic;

/// <summary>Weights made by formula are the same bits in any language.</summary>
public sealed class SyntheticTensorTests
{
    const string Query = "model.text_model.layers.0.self_attn.q_proj.weight", Norm = "model.text_model.norm.weight",
        Bias = "model.vision_model.post_layernorm.bias", Head = "lm_head.weight", Embedding = "model.text_model.embed_tokens.weight";

    // The test vectors of the formula's specification.
    [Theory]
    [InlineData(Query, 0xFA2D5C586919478A, 0, 0.2635761499404907, 0x3C60)]
    [InlineData(Query, 0xFA2D5C586919478A, 1, -0.885604739189148, 0xBD3C)]
    [InlineData(Query, 0xFA2D5C586919478A, 2, -0.5053118467330933, 0xBCD7)]
    [InlineData(Query, 0xFA2D5C586919478A, 919, -0.17068874835968018, 0xBC11)]
    [InlineData(Norm, 0x90A20CDCE458F33F, 0, -0.7488641738891602, 0x3F6D)]
    [InlineData(Norm, 0x90A20CDCE458F33F, 1, -0.9806755781173706, 0x3F67)]
    [InlineData(Norm, 0x90A20CDCE458F33F, 2, 0.9729399681091309, 0x3F8C)]
    [InlineData(Norm, 0x90A20CDCE458F33F, 919, -0.6847729682922363, 0x3F6E)]
    [InlineData(Bias, 0xFB4CC06C9BEEB7F5, 0, 0.03402352333068848, 0x3A32)]
    [InlineData(Bias, 0xFB4CC06C9BEEB7F5, 1, 0.5564504861831665, 0x3C36)]
    [InlineData(Bias, 0xFB4CC06C9BEEB7F5, 2, 0.37424683570861816, 0x3BF5)]
    [InlineData(Head, 0xAB67EB515E1B6F0D, 0, -0.6708594560623169, 0xBD3E)]
    [InlineData(Head, 0xAB67EB515E1B6F0D, 1, 0.9855600595474243, 0x3D8C)]
    [InlineData(Head, 0xAB67EB515E1B6F0D, 2, 0.96947181224823, 0x3D8A)]
    [InlineData(Head, 0xAB67EB515E1B6F0D, 919, 0.6938271522521973, 0x3D45)]
    [InlineData(Head, 0xAB67EB515E1B6F0D, 10_000_000, 0.45917177200317383, 0x3D02)]
    [InlineData(Embedding, 0xA411523C774E7A89, 0, -0.4773857593536377, 0xBF29)]
    [InlineData(Embedding, 0xA411523C774E7A89, 1, -0.8544565439224243, 0xBF98)]
    [InlineData(Embedding, 0xA411523C774E7A89, 2, 0.2790001630783081, 0x3EC6)]
    [InlineData(Embedding, 0xA411523C774E7A89, 919, 0.6434750556945801, 0x3F64)]
    public void Equals_the_test_vectors(string name, ulong seed, long element, double uniform, int bits)
    {
        var tensor = new SyntheticTensor(name, "BF16", name is Norm or Bias ? [960] : [49280, 960], SyntheticFamily.Of("smolvlm"));
        var stored = new byte[2];
        tensor.Fill(element, stored);

        Assert.Equal(seed, tensor.Seed);
        Assert.Equal((float)uniform, SyntheticTensor.Uniform(seed, element));
        Assert.Equal(bits, BinaryPrimitives.ReadUInt16LittleEndian(stored));
    }

    [Theory]
    [InlineData("model.connector.modality_projection.proj.weight")]
    [InlineData("model.text_model.layers.0.input_layernorm.weight")]
    [InlineData("model.text_model.layers.31.self_attn.k_proj.weight")]
    [InlineData("model.text_model.norm.weight")]
    [InlineData("model.vision_model.embeddings.patch_embedding.weight")]
    [InlineData("model.vision_model.embeddings.position_embedding.weight")]
    [InlineData("model.vision_model.encoder.layers.11.mlp.fc1.bias")]
    [InlineData("model.vision_model.post_layernorm.weight")]
    public void Has_the_goldens_sha256(string name)
    {
        var list = Path.Combine(TestFolders.Goldens, "components", "synthetic", "smolvlm-500m", "tensor_sha256.json");
        if (!File.Exists(list))
        {
            Assert.Skip("This goldens folder has no synthetic checkpoint.");
            return;
        }
        var expected = JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(list))!;

        var tensor = SyntheticCheckpoint.Tensors(SyntheticFamily.Of("smolvlm"), Places.Config("smolvlm")).Single(tensor => tensor.Name == name);
        var stored = new byte[tensor.Bytes];
        tensor.Fill(0, stored);

        Assert.Equal(expected[name], Convert.ToHexStringLower(SHA256.HashData(stored)));
    }

    [Theory]
    [InlineData("F32")]
    [InlineData("F16")]
    [InlineData("BF16")]
    [InlineData("I64")]
    public void Makes_any_run_of_elements_as_in_the_whole(string dtype)
    {
        var tensor = new SyntheticTensor("x.weight", dtype, [30, 7], SyntheticFamily.Of("smolvlm"));
        byte[] whole = new byte[tensor.Bytes], part = new byte[13 * tensor.ElementSize];
        tensor.Fill(0, whole);
        tensor.Fill(101, part);

        Assert.Equal(whole.AsSpan(101 * tensor.ElementSize, part.Length).ToArray(), part);
    }

    [Fact]
    public void Gives_the_parameter_that_BLIP_stores_twice_the_same_values()
    {
        var blip = SyntheticFamily.Of("blip");
        var embedding = new SyntheticTensor("text_decoder.bert.embeddings.word_embeddings.weight", "F32", [30, 7], blip);
        var head = new SyntheticTensor("text_decoder.cls.predictions.decoder.weight", "F32", [30, 7], blip);
        byte[] a = new byte[embedding.Bytes], b = new byte[head.Bytes];
        embedding.Fill(0, a);
        head.Fill(0, b);

        Assert.Equal(a, b);
    }

    [Fact]
    public void Begins_a_new_shard_when_the_next_tensor_would_pass_the_limit()
    {
        var family = SyntheticFamily.Of("smolvlm");
        SyntheticTensor[] tensors = [.. new[] { 40L, 60, 0, 200, 5 }.Select((bytes, i) => new SyntheticTensor($"{i}", "F16", [bytes / 2], family))];

        var shards = SyntheticCheckpoint.Shards(tensors, limit: 100);

        Assert.Equal(["0 1 2", "3", "4"], shards.Select(shard => string.Join(' ', shard.Select(tensor => tensor.Name))));
    }

    [Theory]
    [InlineData("qwen2-vl", "visual.blocks.0.norm1.weight", true)]
    [InlineData("qwen2-vl", "visual.blocks.1.norm1.weight", false)]
    [InlineData("qwen2-vl", "model.layers.10.mlp.up_proj.weight", false)]
    [InlineData("qwen2-vl", "model.embed_tokens.weight", true)]
    [InlineData("llava-med", "model.vision_tower.vision_tower.vision_model.encoder.layers.1.layer_norm1.weight", true)]   // the layer that is not read
    [InlineData("llava-med", "model.vision_tower.vision_tower.vision_model.encoder.layers.2.layer_norm1.weight", false)]
    [InlineData("llava-med", "model.layers.1.input_layernorm.weight", false)]
    public void Keeps_one_layer_of_each_tower(string family, string tensor, bool kept) =>
        Assert.Equal(kept, SyntheticFamily.Of(family).HasWithOneLayer(tensor));
}
