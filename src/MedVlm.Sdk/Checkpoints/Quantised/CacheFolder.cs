using System.Text.RegularExpressions;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>
/// The folder of the cache: how its files are called, how they appear whole, and how they go. Files that are called otherwise are somebody
/// else's, and are left alone.
/// </summary>
/// <param name="path">The folder, which need not exist.</param>
/// <param name="createFile">Creates the file that a new one is written to.</param>
internal sealed partial class CacheFolder(string path, Func<string, FileStream> createFile)
{
    public const string Extension = ".safetensors", HashExtension = ".hash";

    const string TemporaryExtension = ".tmp";

    /// <summary>How long a temporary file that nobody holds open is left alone: its writer may be about to open it.</summary>
    static readonly TimeSpan s_youngest = TimeSpan.FromMinutes(1);

    // A hash, then scheme and version or that it is a hash's record, and while it is written a number of its writer's.
    [GeneratedRegex(@"^[0-9a-f]{32}(-[a-z0-9-]+-v[0-9]+\.safetensors|\.hash)(\.[0-9a-f]{32}\.tmp)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex OwnName { get; }

    /// <summary>Creates the folder, unless it is there.</summary>
    /// <exception cref="IOException">It cannot be created.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be created.</exception>
    public void Create()
    {
        RequireNoFile();
        Directory.CreateDirectory(path);
    }

    /// <summary>Creates the folder, and a file in it that is deleted at once.</summary>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder must not be written.</exception>
    public void RequireWritable()
    {
        Create();
        var temporary = Temporary($"{Guid.NewGuid():N}{HashExtension}");
        try
        {
            createFile(temporary).Dispose();
        }
        finally
        {
            Delete(temporary);
        }
    }

    /// <summary>Path of a file.</summary>
    public string PathOf(string name) => Path.Combine(path, name);

    /// <summary>The finished files with weights or calibrations.</summary>
    /// <exception cref="IOException">The folder cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder must not be read.</exception>
    public IEnumerable<FileInfo> Files() => Own($"*{Extension}").OrderBy(file => file.Name, StringComparer.Ordinal);

    /// <summary>Writes a file under another name, flushes it to the disk if <paramref name="content"/> does, and renames it when it is whole.</summary>
    /// <param name="name">The name.</param>
    /// <param name="content">Writes it.</param>
    /// <param name="move">Puts it in its place: source, destination, and that it may replace another.</param>
    public void Write(string name, Action<FileStream> content, Action<string, string, bool> move)
    {
        var temporary = Temporary(name);
        try
        {
            using (var stream = createFile(temporary))
                content(stream);
            move(temporary, PathOf(name), true);
        }
        catch
        {
            Delete(temporary);
            throw;
        }
    }

    /// <summary>Deletes all files of the cache, but for those that somebody reads or writes.</summary>
    /// <returns>Bytes that are free now.</returns>
    public long Clear()
    {
        RemoveStale();
        return Own($"*{Extension}").Concat(Own($"*{HashExtension}")).ToList().Sum(file => file.Length is var length && DeleteUnused(file.FullName) ? length : 0);
    }

    /// <summary>Deletes what writers have left that were ended: temporary files that nobody holds open.</summary>
    public void RemoveStale()
    {
        foreach (var file in Own($"*{TemporaryExtension}").Where(file => TimeProvider.System.GetUtcNow() - file.LastWriteTimeUtc >= s_youngest).ToList())
            DeleteUnused(file.FullName);
    }

    /// <summary>
    /// Deletes a file unless somebody has it open: a writer holds it for itself as long as it lives, and a captioner shares it with other readers from its
    /// load to its end (ONNX Runtime opens it by its name meanwhile).
    /// </summary>
    /// <returns>Whether it is deleted.</returns>
    public static bool DeleteUnused(string file)
    {
        try
        {
            // Deleted while it is held, so that nobody opens it in between.
            new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose).Dispose();
            return !File.Exists(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;   // in use, or gone already
        }
    }

    /// <summary>Deletes a file of one's own.</summary>
    public static void Delete(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It stays until it is stale.
        }
    }

    string Temporary(string name) => PathOf($"{name}.{Guid.NewGuid():N}{TemporaryExtension}");

    IEnumerable<FileInfo> Own(string pattern)
    {
        RequireNoFile();
        return Directory.Exists(path) ? new DirectoryInfo(path).EnumerateFiles(pattern).Where(file => OwnName.IsMatch(file.Name)) : [];
    }

    void RequireNoFile()
    {
        if (File.Exists(path))
            throw new IOException($"The cache folder {Fault.Quote(path)} is a file: name a folder by the environment variable {QuantisedCache.Variable}.");
    }
}
