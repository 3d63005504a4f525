using System.Text.Json.Serialization.Metadata;

namespace MedVlm.Checkpoints;

/// <summary>A checkpoint folder as the hub serves it: config.json, weights in safetensors, and the JSON files beside them.</summary>
/// <remarks>Every file name is checked to lie in the folder itself.
/// Reading is safe from many threads; dispose after the last use.</remarks>
internal sealed class Checkpoint : IDisposable
{
    public const string ConfigFile = "config.json";
    public const string WeightsFile = "model.safetensors";
    public const string IndexFile = "model.safetensors.index.json";

    readonly List<SafetensorsFile> shards = [];
    readonly List<Checkpoint> companions = [];

    readonly string autoClass;

    Checkpoint(string folder, string autoClass) => (Folder, this.autoClass) = (folder, autoClass);

    /// <summary>The folder, as an absolute path.</summary>
    public string Folder { get; }

    /// <summary>All tensors of all shards by name.</summary>
    public IReadOnlyDictionary<string, StoredTensor> Tensors { get; private set; } = new Dictionary<string, StoredTensor>();

    /// <summary>Opens the folder's weights; their headers are checked, their data is mapped.</summary>
    /// <exception cref="CheckpointException">A file is missing or damaged, or the weights are in a format that is never read.</exception>
    /// <param name="folder">The folder.</param>
    /// <param name="autoClass">The class of transformers that reads such a model, for the message about weights in pickle format.</param>
    public static Checkpoint Open(string folder, string autoClass = "AutoModelForImageTextToText")
    {
        var checkpoint = new Checkpoint(Path.GetFullPath(folder), autoClass);
        try
        {
            checkpoint.OpenWeights();
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Opens another folder that the model needs as well (a vision tower of its own); it is disposed with this one.</summary>
    /// <inheritdoc cref="Open" path="/exception"/>
    public Checkpoint OpenCompanion(string folder)
    {
        var companion = Open(folder);
        companions.Add(companion);
        return companion;
    }

    /// <summary>Whether the folder has this file.</summary>
    public bool Has(string fileName) => FileNames.IsPlain(fileName) && FileNames.Exists(Path.Combine(Folder, fileName));

    /// <summary>Path of a file of the folder, whether or not it is there.</summary>
    public string PathOf(string fileName) => Path.Combine(Folder, fileName);

    /// <summary>Reads a JSON file of the folder.</summary>
    /// <exception cref="CheckpointException">The file is missing or damaged, lacks a required key, or holds one of another kind.</exception>
    public T ReadJson<T>(string fileName, JsonTypeInfo<T> type) where T : class =>
        TryReadJson(fileName, type) ?? throw Missing(fileName);

    /// <summary>Reads a JSON file of the folder, or gives null where there is none.</summary>
    /// <inheritdoc cref="ReadJson{T}" path="/exception"/>
    public T? TryReadJson<T>(string fileName, JsonTypeInfo<T> type) where T : class =>
        Has(fileName) ? JsonFile.Read(PathOf(fileName), type) : null;

    /// <summary>Whether the folder has this file, and the file holds this text.</summary>
    /// <exception cref="CheckpointException">The file is empty or too large.</exception>
    public bool Mentions(string fileName, string text) =>
        Has(fileName) && JsonFile.ReadBytes(PathOf(fileName)).AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(text)) >= 0;

    public void Dispose()
    {
        foreach (var shard in shards)
            shard.Dispose();
        foreach (var companion in companions)
            companion.Dispose();
    }

    void OpenWeights()
    {
        if (!Directory.Exists(Folder))
            throw new CheckpointException($"There is no folder {Fault.Quote(Folder)}. Give the folder that holds config.json.");
        if (!Has(ConfigFile))
            throw Missing(ConfigFile);

        if (Has(WeightsFile))
            Tensors = OpenShard(WeightsFile).Tensors;
        else if (Has(IndexFile))
            Tensors = OpenShards(ShardIndex.Read(PathOf(IndexFile)));
        else
            throw NoWeights();
    }

    Dictionary<string, StoredTensor> OpenShards(IReadOnlyDictionary<string, string> weightMap)
    {
        var byName = new Dictionary<string, SafetensorsFile>();
        var tensors = new Dictionary<string, StoredTensor>(weightMap.Count);
        foreach (var (tensor, shardName) in weightMap)
        {
            if (!Has(shardName))
                throw new CheckpointException($"{IndexFile}: tensor {Fault.Quote(tensor)} is said to be in {shardName}, which is not in "
                    + "the folder. The download is incomplete: fetch the checkpoint again.");
            if (!byName.TryGetValue(shardName, out var shard))
                byName.Add(shardName, shard = OpenShard(shardName));
            tensors.Add(tensor, shard.Tensors.GetValueOrDefault(tensor) ?? throw new CheckpointException(
                $"{IndexFile}: tensor {Fault.Quote(tensor)} is said to be in {shardName}, which does not hold it. "
                + "Index and shards are of different revisions: fetch the checkpoint again."));
        }
        return tensors;
    }

    SafetensorsFile OpenShard(string fileName)
    {
        var shard = SafetensorsFile.Open(PathOf(fileName));
        shards.Add(shard);
        return shard;
    }

    CheckpointException Missing(string fileName) => new(
        $"{fileName}: there is no such file in {Fault.Quote(Folder)}. "
        + "A checkpoint is the whole folder as the hub serves it: fetch it again.");

    CheckpointException NoWeights() => Directory.EnumerateFiles(Folder, "pytorch_model*.bin").Any()
        ? new("pytorch_model.bin: weights in pickle format are never read, because a pickle can run code. Convert them once in Python: "
            + $"{autoClass}.from_pretrained(folder).save_pretrained(folder, safe_serialization=True); "
            + "or take a revision of the model that has model.safetensors.")
        : new($"{WeightsFile}: the folder {Fault.Quote(Folder)} has neither {WeightsFile} nor {IndexFile}. "
            + "The download is incomplete: fetch the checkpoint again.");
}
