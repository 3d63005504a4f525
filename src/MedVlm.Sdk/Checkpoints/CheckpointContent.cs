using System.Security.Cryptography;
using System.Text;
using MedVlm.Checkpoints.Quantised;

namespace MedVlm.Checkpoints;

/// <summary>A hash of everything that a model was read from. It knows a model again, wherever its folder lies.</summary>
/// <remarks>
/// SHA-256 over the names and hashes of the files in the folder that can matter (weights, configuration, tokenizer), and of those of the
/// adapter, tower and tokenizer that the application names, and over the calibration that its weights were quantised with. What a checkpoint takes from a repository that it names itself is not among them.
/// </remarks>
internal sealed class CheckpointContent(string folder, string? adapter, string? visionTower, string? tokenizer, string? calibration = null)
{
    /// <summary>Up to here a file is hashed each time, rather than remembered.</summary>
    const long Small = 1 << 20;

    static readonly HashSet<string> s_endings = [".json", ".safetensors", ".model", ".txt", ".jinja"];

    readonly Lock _lock = new();
    string? _hash;

    /// <summary>The hash, computed once.</summary>
    /// <exception cref="CheckpointException">A file cannot be read any more.</exception>
    public string Hash()
    {
        lock (_lock)
            try
            {
                return _hash ??= Compute();
            }
            catch (Exception e) when (Fault.IsFileError(e))
            {
                throw new CheckpointException($"The checkpoint's files cannot be read any more. {e.Message}", e);
            }
    }

    string Compute()
    {
        var cache = QuantisedCache.FromEnvironment(Environment.GetEnvironmentVariable);
        var list = new StringBuilder();
        AddFolder("model", folder);
        if (adapter is not null)
            AddFolder("adapter", adapter);
        if (visionTower is not null)
            AddFolder("tower", ModelLocator.Find(visionTower));
        if (tokenizer is not null)
            AddFile("tokenizer", ModelLocator.FindFile(tokenizer, "tokenizer.json", "Tokenizer", HubCache.FromEnvironment(Environment.GetEnvironmentVariable)));
        if (calibration is not null)
            list.Append(calibration).Append("  calibration\n");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(list.ToString())));

        void AddFolder(string part, string path)
        {
            foreach (var file in Directory.GetFiles(path).Where(file => s_endings.Contains(Path.GetExtension(file))).Order(StringComparer.Ordinal))
                AddFile($"{part}/{Path.GetFileName(file)}", file);
        }

        void AddFile(string name, string path)
        {
            var target = RealPath.Of(path);   // files of the hub cache are links
            list.Append(new FileInfo(target).Length <= Small ? SmallFile(target) : cache.ContentOf(target, 0, default)).Append("  ").Append(name).Append('\n');
        }
    }

    static string SmallFile(string path)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        return ContentHash.Of(file, 0, default);
    }
}
