using System.Text.Json;

namespace MedVlm.Checkpoints;

/// <summary>model.safetensors.index.json: which shard holds which tensor.</summary>
/// <remarks>"metadata" is left unread: total_size is informative, and is wrong in some checkpoints.</remarks>
internal static class ShardIndex
{
    const string Suffix = ".safetensors";

    /// <summary>The weight map, its file names checked and without "./" in front.</summary>
    /// <exception cref="CheckpointException">The index is not valid, or names a file that is not a shard beside it.</exception>
    public static IReadOnlyDictionary<string, string> Read(string path)
    {
        var fileName = Path.GetFileName(path);
        using var document = JsonFile.Parse(path);
        if (document.RootElement.ValueKind != JsonValueKind.Object
            || !document.RootElement.TryGetProperty("weight_map", out var map)
            || map.ValueKind != JsonValueKind.Object)
            throw new CheckpointException($"{fileName}: \"weight_map\", an object of tensor names and file names, is missing. "
                + Fault.FetchAgain);

        var shards = new Dictionary<string, string>();
        foreach (var entry in map.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.String)
                throw new CheckpointException($"{fileName}: the file of tensor {Fault.Quote(entry.Name)} is not a string. "
                    + Fault.FetchAgain);
            if (!shards.TryAdd(entry.Name, PlainShardName(entry.Value.GetString()!, entry.Name, fileName)))
                throw new CheckpointException($"{fileName}: tensor {Fault.Quote(entry.Name)} is there twice. {Fault.FetchAgain}");
        }
        return shards;
    }

    static string PlainShardName(string written, string tensor, string fileName)
    {
        var name = written.StartsWith("./", StringComparison.Ordinal) ? written[2..] : written;
        return FileNames.IsPlain(name) && name.EndsWith(Suffix, StringComparison.Ordinal)
            ? name
            : throw new CheckpointException($"{fileName}: tensor {Fault.Quote(tensor)} is said to be in {Fault.Quote(written)}, which is "
                + $"not the name of a {Suffix} file in this folder. Shards elsewhere are never opened: do not use this checkpoint unless you "
                + "know where it is from.");
    }
}
