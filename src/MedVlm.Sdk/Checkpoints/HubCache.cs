namespace MedVlm.Checkpoints;

/// <summary>The local Hugging Face cache: models--org--name/refs/revision names the commit, snapshots/commit holds the files.</summary>
internal sealed class HubCache(string folder)
{
    /// <summary>The cache's folder, which need not exist.</summary>
    public string Folder { get; } = folder;

    /// <summary>The cache that huggingface_hub uses under these environment variables (its constants.py, in its order).</summary>
    /// <param name="variable">Value of an environment variable; null or empty where it is not set.</param>
    public static HubCache FromEnvironment(Func<string, string?> variable)
    {
        string? Variable(string name) => variable(name) is { Length: > 0 } value ? Expand(value, variable) : null;

        string Hub() => Path.Combine(Variable("HF_HOME") ?? Path.Combine(UserCacheFolder(variable), "huggingface"), "hub");

        return new HubCache(Path.GetFullPath(Variable("HF_HUB_CACHE") ?? Variable("HUGGINGFACE_HUB_CACHE") ?? Hub()));
    }

    /// <summary>The folder of the user's caches, which the hub's is in: XDG_CACHE_HOME, or .cache in the home folder, on every system.</summary>
    public static string UserCacheFolder(Func<string, string?> variable) =>
        variable("XDG_CACHE_HOME") is { Length: > 0 } set ? Expand(set, variable) : Path.Combine(Home(variable), ".cache");

    /// <summary>A path whose ~ stands for the home folder.</summary>
    public static string Expand(string path, Func<string, string?> variable) =>
        path == "~" || path.StartsWith("~/", StringComparison.Ordinal) || path.StartsWith("~\\", StringComparison.Ordinal)
            ? Home(variable) + path[1..]
            : path;

    static string Home(Func<string, string?> variable) => variable(OperatingSystem.IsWindows() ? "USERPROFILE" : "HOME") is { Length: > 0 } home
        ? home
        : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);

    /// <summary>Where the cache keeps the model, whether or not it does.</summary>
    public string ModelFolder(HubId id) => Path.Combine(Folder, "models--" + id.Repository.Replace("/", "--", StringComparison.Ordinal));

    /// <summary>The commit that a branch, tag or commit means here; null where the cache does not know it.</summary>
    public string? Commit(HubId id)
    {
        var reference = Path.Combine([ModelFolder(id), "refs", .. id.Revision.Split('/')]);
        if (!File.Exists(reference))
            return Directory.Exists(Snapshot(id, id.Revision)) ? id.Revision : null;

        // What the file holds becomes part of a path: only what a commit can look like.
        var commit = ReadStart(reference).Trim();
        return HubId.IsCommit(commit) ? commit : null;
    }

    /// <summary>Where the files of a commit are.</summary>
    public string Snapshot(HubId id, string commit) => Path.Combine(ModelFolder(id), "snapshots", commit);

    static string ReadStart(string path)
    {
        var buffer = new char[128];
        using var reader = new StreamReader(path);
        return new string(buffer, 0, reader.ReadBlock(buffer));
    }
}
