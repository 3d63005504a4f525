using System.Runtime.InteropServices;
using System.Text.Json;

namespace MedVlm.Benchmarks.Synthetic;

/// <summary>A text encoder's checkpoint in a published model's size, its weights random: it takes the published one's time, and means nothing.</summary>
internal static class SyntheticEncoder
{
    /// <summary>A model's size: config.json, but for the size of the vocabulary, and how many layers are written and run.</summary>
    sealed record Model(Dictionary<string, object> Config, int Hidden, int Intermediate, int Layers, bool IsDeberta);

    static readonly Dictionary<string, Model> s_models = new()
    {
        // sentence-transformers/all-MiniLM-L6-v2.
        ["minilm"] = new(new()
        {
            ["model_type"] = "bert", ["hidden_size"] = 384, ["num_hidden_layers"] = 6, ["num_attention_heads"] = 12, ["intermediate_size"] = 1536,
            ["max_position_embeddings"] = 512, ["type_vocab_size"] = 2,
        }, 384, 1536, 6, IsDeberta: false),

        // microsoft/deberta-xlarge-mnli up to the layer that BERTScore takes, 40 of 48.
        ["deberta-xlarge"] = new(new()
        {
            ["model_type"] = "deberta", ["hidden_size"] = 1024, ["num_hidden_layers"] = 48, ["num_attention_heads"] = 16, ["intermediate_size"] = 4096,
            ["max_position_embeddings"] = 512, ["type_vocab_size"] = 0, ["relative_attention"] = true, ["pos_att_type"] = "c2p|p2c",
            ["position_biased_input"] = false,
        }, 1024, 4096, 40, IsDeberta: true),
    };

    public static bool Knows(string name) => s_models.ContainsKey(name);

    /// <summary>Layers that are run.</summary>
    public static int Layers(string name) => s_models[name].Layers;

    /// <summary>Writes config.json, vocab.txt and model.safetensors.</summary>
    public static void Write(string name, string vocabularyFile, string folder)
    {
        var model = s_models[name];
        Directory.CreateDirectory(folder);
        File.Copy(vocabularyFile, Path.Combine(folder, "vocab.txt"), overwrite: true);
        int vocabulary = File.ReadAllLines(vocabularyFile).Length;
        File.WriteAllBytes(
            Path.Combine(folder, "config.json"),
            JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>(model.Config) { ["vocab_size"] = vocabulary }));

        List<(string Name, long[] Shape)> tensors = [.. Tensors(model, vocabulary)];
        long offset = 0;
        var header = new Dictionary<string, object>();
        foreach (var (tensor, shape) in tensors)
        {
            long bytes = sizeof(float) * shape.Aggregate(1L, (product, size) => product * size);
            header[tensor] = new { dtype = "F32", shape, data_offsets = new[] { offset, offset + bytes } };
            offset += bytes;
        }

        using var file = File.Create(Path.Combine(folder, "model.safetensors"));
        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        file.Write(BitConverter.GetBytes((long)json.Length));
        file.Write(json);
        var random = new Random(1);
        foreach (var (tensor, shape) in tensors)
            WriteTensor(file, tensor, shape, random);
    }

    static void WriteTensor(FileStream file, string tensor, long[] shape, Random random)
    {
        bool isNorm = tensor.EndsWith("LayerNorm.weight", StringComparison.Ordinal);
        var row = new float[shape[^1]];
        for (long rows = shape.Length == 1 ? 1 : shape[0]; rows > 0; rows--)
        {
            for (int i = 0; i < row.Length; i++)
                row[i] = isNorm ? 1 : 0.08f * (random.NextSingle() - 0.5f);
            file.Write(MemoryMarshal.AsBytes<float>(row));
        }
    }

    static IEnumerable<(string Name, long[] Shape)> Tensors(Model model, int vocabulary)
    {
        long hidden = model.Hidden;
        yield return ("embeddings.word_embeddings.weight", [vocabulary, hidden]);
        if (model.IsDeberta)
            yield return ("encoder.rel_embeddings.weight", [1024, hidden]);
        else
        {
            yield return ("embeddings.position_embeddings.weight", [512, hidden]);
            yield return ("embeddings.token_type_embeddings.weight", [2, hidden]);
        }
        foreach (var tensor in Linear("embeddings.LayerNorm", hidden))
            yield return tensor;

        for (int i = 0; i < model.Layers; i++)
        {
            var layer = $"encoder.layer.{i}";
            (string, long[])[] attention = model.IsDeberta
                ?
                [
                    ($"{layer}.attention.self.in_proj.weight", [3 * hidden, hidden]), ($"{layer}.attention.self.q_bias", [hidden]),
                    ($"{layer}.attention.self.v_bias", [hidden]), ($"{layer}.attention.self.pos_proj.weight", [hidden, hidden]),
                    .. Linear($"{layer}.attention.self.pos_q_proj", hidden, hidden),
                ]
                :
                [
                    .. Linear($"{layer}.attention.self.query", hidden, hidden), .. Linear($"{layer}.attention.self.key", hidden, hidden),
                    .. Linear($"{layer}.attention.self.value", hidden, hidden),
                ];
            foreach (var tensor in attention
                .Concat(Linear($"{layer}.attention.output.dense", hidden, hidden)).Concat(Linear($"{layer}.attention.output.LayerNorm", hidden))
                .Concat(Linear($"{layer}.intermediate.dense", model.Intermediate, hidden)).Concat(Linear($"{layer}.output.dense", hidden, model.Intermediate))
                .Concat(Linear($"{layer}.output.LayerNorm", hidden)))
                yield return tensor;
        }
    }

    static (string Name, long[] Shape)[] Linear(string name, params long[] shape) => [($"{name}.weight", shape), ($"{name}.bias", [shape[0]])];
}
