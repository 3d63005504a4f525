using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using MedVlm.Checkpoints;

namespace MedVlm.Benchmarks.Synthetic;

/// <summary>A checkpoint folder in the hub's layout and a model's true size, its weights made by <see cref="SyntheticTensor"/>.</summary>
internal static class SyntheticCheckpoint
{
    const int BlockBytes = 4 << 20;   // multiple of every element size; many blocks share the cores evenly

    static readonly string[] s_copied = ["generation_config.json", "preprocessor_config.json", "processor_config.json"];

    /// <summary>The tensors of a family in the order in which the file holds them.</summary>
    public static IReadOnlyList<SyntheticTensor> Tensors(SyntheticFamily family, string configFolder)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(configFolder, "tensors.json")));
        return
        [
            .. json.RootElement.EnumerateObject()
                .OrderBy(tensor => tensor.Name, StringComparer.Ordinal)
                .Select(tensor => new SyntheticTensor(
                    tensor.Name, tensor.Value[0].GetString()!, [.. tensor.Value[1].EnumerateArray().Select(size => size.GetInt64())], family)),
        ];
    }

    /// <summary>Writes the folder. A file that is there keeps its old content until the new one is whole.</summary>
    /// <param name="family">Whose weights.</param>
    /// <param name="configFolder">tensors.json, and the JSON files that the checkpoint gets.</param>
    /// <param name="tokenizer">The tokenizer's file.</param>
    /// <param name="folder">Where to.</param>
    /// <param name="shardLimit">Bytes of a shard, which only a single tensor may exceed; null writes one file.</param>
    /// <param name="oneLayer">Whether the model is to have one layer only in the vision tower and in the decoder.</param>
    public static void Write(
        SyntheticFamily family, string configFolder, string tokenizer, string folder, long? shardLimit, bool oneLayer = false)
    {
        Directory.CreateDirectory(folder);
        foreach (var file in s_copied.Select(name => Path.Combine(configFolder, name)).Where(File.Exists))
            WriteSafely(Path.Combine(folder, Path.GetFileName(file)), path => File.Copy(file, path));
        WriteSafely(Path.Combine(folder, Checkpoint.ConfigFile), path => File.WriteAllText(path, Config(family, configFolder, oneLayer).ToJsonString()));
        WriteSafely(Path.Combine(folder, Path.GetFileName(tokenizer)), path => File.Copy(tokenizer, path));

        var tensors = Tensors(family, configFolder);
        if (oneLayer)
            tensors = [.. tensors.Where(tensor => family.HasWithOneLayer(tensor.Name))];
        var shards = Shards(tensors, shardLimit ?? long.MaxValue);
        var index = new JsonObject();
        for (int i = 0; i < shards.Count; i++)
        {
            var name = shards.Count == 1 ? Checkpoint.WeightsFile : $"model-{i + 1:00000}-of-{shards.Count:00000}.safetensors";
            WriteSafely(Path.Combine(folder, name), path => WriteShard(path, shards[i]));
            foreach (var tensor in shards[i])
                index[tensor.Name] = name;
        }

        if (shards.Count > 1)
            WriteSafely(Path.Combine(folder, Checkpoint.IndexFile), path => File.WriteAllText(path, new JsonObject
            {
                ["metadata"] = new JsonObject { ["total_size"] = shards.Sum(shard => shard.Sum(tensor => tensor.Bytes)) },
                ["weight_map"] = index,
            }.ToJsonString()));
    }

    /// <summary>config.json, with what an empty one stands for.</summary>
    static JsonNode Config(SyntheticFamily family, string configFolder, bool oneLayer)
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(configFolder, Checkpoint.ConfigFile)))!;

        // Moondream2's "config" is published empty; which release that stands for is in the code beside the weights.
        if (Path.Combine(configFolder, "defaults.json") is var defaults && File.Exists(defaults))
            config["config"] = JsonNode.Parse(File.ReadAllText(defaults));

        foreach (var key in oneLayer ? family.LayerCounts : [])
        {
            var levels = key.Split('.');
            levels[..^1].Aggregate(config, (node, level) => node[level]!)[levels[^1]] = 1;
        }
        return config;
    }

    /// <summary>Compares the sha256 of every tensor's stored bytes with the list.</summary>
    /// <returns>Names of the tensors that differ or are missing.</returns>
    public static IReadOnlyList<string> Differences(string folder, IReadOnlyDictionary<string, string> sha256)
    {
        using var checkpoint = Checkpoint.Open(folder);
        return
        [
            .. sha256.AsParallel()
                .Where(expected => !checkpoint.Tensors.TryGetValue(expected.Key, out var stored) || Sha256(stored) != expected.Value)
                .Select(expected => expected.Key)
                .Order(StringComparer.Ordinal),
        ];
    }

    internal static List<List<SyntheticTensor>> Shards(IReadOnlyList<SyntheticTensor> tensors, long limit)
    {
        var shards = new List<List<SyntheticTensor>>();
        long bytes = 0;
        foreach (var tensor in tensors)
        {
            if (shards.Count == 0 || bytes + tensor.Bytes > limit)
            {
                shards.Add([]);
                bytes = 0;
            }
            shards[^1].Add(tensor);
            bytes += tensor.Bytes;
        }
        return shards;
    }

    static void WriteShard(string path, IReadOnlyList<SyntheticTensor> tensors)
    {
        var header = Header(tensors);
        long dataStart = sizeof(ulong) + header.Length;
        using var file = File.OpenHandle(
            path, FileMode.CreateNew, FileAccess.Write, FileShare.None, preallocationSize: dataStart + tensors.Sum(tensor => tensor.Bytes));
        var prefix = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, header.Length);
        RandomAccess.Write(file, [prefix, header], 0);

        Parallel.ForEach(Blocks(tensors, dataStart), block =>
        {
            var bytes = new byte[block.Bytes];
            block.Tensor.Fill(block.Start / block.Tensor.ElementSize, bytes);
            RandomAccess.Write(file, bytes, block.At);
        });
    }

    static IEnumerable<(SyntheticTensor Tensor, long Start, int Bytes, long At)> Blocks(IReadOnlyList<SyntheticTensor> tensors, long dataStart)
    {
        foreach (var tensor in tensors)
        {
            for (long start = 0; start < tensor.Bytes; start += BlockBytes)
                yield return (tensor, start, (int)Math.Min(BlockBytes, tensor.Bytes - start), dataStart + start);
            dataStart += tensor.Bytes;
        }
    }

    static byte[] Header(IReadOnlyList<SyntheticTensor> tensors)
    {
        var header = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        long offset = 0;
        foreach (var tensor in tensors)
        {
            header[tensor.Name] = new JsonObject
            {
                ["dtype"] = tensor.Dtype,
                ["shape"] = new JsonArray([.. tensor.Shape.Select(size => JsonValue.Create(size))]),
                ["data_offsets"] = new JsonArray(offset, offset + tensor.Bytes),
            };
            offset += tensor.Bytes;
        }
        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        var padded = new byte[(json.Length + 7) / 8 * 8];
        padded.AsSpan().Fill((byte)' ');
        json.CopyTo(padded, 0);
        return padded;
    }

    static string Sha256(StoredTensor tensor)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (long start = 0; start < tensor.Length; start += BlockBytes)
            hash.AppendData(tensor.Bytes(start, (int)Math.Min(BlockBytes, tensor.Length - start)));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    static void WriteSafely(string path, Action<string> write)
    {
        var temporary = $"{path}.{Guid.NewGuid():n}.tmp";
        try
        {
            write(temporary);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}
