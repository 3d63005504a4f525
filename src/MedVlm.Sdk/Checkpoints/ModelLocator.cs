namespace MedVlm.Checkpoints;

/// <summary>Finds the folder that a model's name means: a folder, else a hub id in the local Hugging Face cache.</summary>
internal static class ModelLocator
{
    /// <inheritdoc cref="Find(string, HubCache)"/>
    public static string Find(string model) => Find(model, HubCache.FromEnvironment(Environment.GetEnvironmentVariable));

    /// <summary>Finds the folder of a LoRA adapter, in the same way.</summary>
    /// <inheritdoc cref="Find(string, HubCache)" path="/exception"/>
    public static string FindAdapter(string adapter) =>
        Find(adapter, HubCache.FromEnvironment(Environment.GetEnvironmentVariable), MissingPartOfAdapter);

    /// <summary>Finds the checkpoint folder. Nothing is downloaded.</summary>
    /// <param name="model">A folder, or "org/name", or "org/name@revision". An existing folder wins.</param>
    /// <param name="cache">Where hub ids are looked up.</param>
    /// <exception cref="ModelNotFoundException">There is no such folder, and the cache has the model not at all or in part.</exception>
    public static string Find(string model, HubCache cache) => Find(model, cache, MissingPart);

    /// <summary>Finds one file that a model takes from a companion repository. Nothing is downloaded.</summary>
    /// <param name="source">The file itself, a folder that holds it, or a hub id. What exists on the disk wins.</param>
    /// <param name="fileName">The file's name in the repository.</param>
    /// <param name="purpose">What the model takes from it, for the message.</param>
    /// <param name="cache">Where hub ids are looked up.</param>
    /// <exception cref="ModelNotFoundException">The file is in none of these places.</exception>
    public static string FindFile(string source, string fileName, string purpose, HubCache cache)
    {
        if (!source.Any(char.IsControl))
        {
            if (FileNames.Exists(source))
                return Path.GetFullPath(source);
            if (Directory.Exists(source))
                return FileNames.Exists(Path.Combine(source, fileName))
                    ? Path.GetFullPath(Path.Combine(source, fileName))
                    : throw new ModelNotFoundException($"{purpose}: the folder {Fault.Quote(source)} has no {fileName}.");
        }
        if (HubId.TryParse(source) is not { } id)
            throw new ModelNotFoundException($"{purpose}: {Fault.Quote(source)} is no file or folder that exists, and no hub id \"org/name\".");

        try
        {
            if (cache.Commit(id) is { } commit && Path.Combine(cache.Snapshot(id, commit), fileName) is var path && FileNames.Exists(path))
                return path;
        }
        catch (Exception e) when (Fault.IsFileError(e))
        {
            throw new ModelNotFoundException($"{purpose}: the Hugging Face cache {Fault.Quote(cache.Folder)} cannot be read. {e.Message}", e);
        }
        throw new ModelNotFoundException($"{purpose}: {fileName} of {id} is not in the Hugging Face cache {Fault.Quote(cache.Folder)}. "
            + $"Download it with: {id.FetchFileCommand(fileName)}\n"
            + "If it is in another cache, set HF_HUB_CACHE to that folder.");
    }

    static string Find(string model, HubCache cache, Func<string, string?> missingPart)
    {
        if (string.IsNullOrWhiteSpace(model))
            throw new ModelNotFoundException("No model is named. Give a checkpoint folder, or a hub id such as \"org/name\".");
        if (model.Any(char.IsControl))
            throw new ModelNotFoundException($"Model {Fault.Quote(model)}: the name holds control characters, as neither a folder nor a "
                + "hub id does. Give a checkpoint folder, or a hub id such as \"org/name\".");
        if (Directory.Exists(model))
            return Path.GetFullPath(model);
        if (File.Exists(model))
            throw new ModelNotFoundException($"Model {Fault.Quote(model)} is a file. Give the folder that holds config.json.");
        if (HubId.TryParse(model) is not { } id)
            throw new ModelNotFoundException($"Model {Fault.Quote(model)} was not found. Looked for:\n"
                + $"  1. the folder {Fault.Quote(FullPath(model))}: not there\n"
                + "  2. a hub id \"org/name\" or \"org/name@revision\": the name is none\n"
                + "Give a checkpoint folder that exists, or a hub id.");
        try
        {
            return FindInCache(model, id, cache, missingPart);
        }
        catch (Exception e) when (Fault.IsFileError(e))
        {
            throw new ModelNotFoundException($"Model {Fault.Quote(model)}: the Hugging Face cache {Fault.Quote(cache.Folder)} cannot be "
                + $"read. {e.Message}", e);
        }
    }

    static string FindInCache(string model, HubId id, HubCache cache, Func<string, string?> missingPart)
    {
        if (cache.Commit(id) is not { } commit)
        {
            var known = Directory.Exists(cache.ModelFolder(id));
            throw new ModelNotFoundException($"Model {Fault.Quote(model)} was not found. Looked for:\n"
                + $"  1. the folder {Fault.Quote(FullPath(model))}: not there\n"
                + $"  2. {id.Repository} in the Hugging Face cache, {Fault.Quote(cache.ModelFolder(id))}: "
                + (known ? $"there, but without revision {id.Revision}\n" : "not there\n")
                + $"Download it with: {id.FetchCommand}\n"
                + "If it is in another cache, set HF_HUB_CACHE to that folder.");
        }

        var snapshot = cache.Snapshot(id, commit);
        return missingPart(snapshot) is { } missing
            ? throw new ModelNotFoundException($"Model {Fault.Quote(model)} is in the Hugging Face cache in part only: "
                + $"{Fault.Quote(snapshot)} has no {missing}. Its download was broken off, or fetched single files. "
                + $"Complete it with: {id.FetchCommand}")
            : snapshot;
    }

    /// <summary>What an unfinished download lacks. A weight format that is not read counts as weights: opening it says why.</summary>
    static string? MissingPart(string snapshot)
    {
        bool Has(string fileName) => FileNames.Exists(Path.Combine(snapshot, fileName));

        return !Has(Checkpoint.ConfigFile) ? Checkpoint.ConfigFile
            : Has(Checkpoint.WeightsFile) || Has(Checkpoint.IndexFile) || Directory.EnumerateFiles(snapshot, "pytorch_model*").Any() ? null
            : $"{Checkpoint.WeightsFile} or {Checkpoint.IndexFile}";
    }

    static string? MissingPartOfAdapter(string snapshot) =>
        FileNames.Exists(Path.Combine(snapshot, LoraAdapter.ConfigFile)) ? null : LoraAdapter.ConfigFile;

    static string FullPath(string model)
    {
        try
        {
            return Path.GetFullPath(model);
        }
        catch (Exception e) when (Fault.IsFileError(e))
        {
            return model;
        }
    }
}
