namespace MedVlm.ConsoleSample.Output;

/// <summary>A file of results. Each one is on its way to the disk before the next: what a stopped run has written is whole and stays.</summary>
internal abstract class ResultFile : IAsyncDisposable
{
    static readonly Dictionary<string, Func<Stream, ResultFile>> s_formats = new(StringComparer.OrdinalIgnoreCase)
    {
        [".jsonl"] = stream => new JsonLinesFile(stream),
        [".csv"] = stream => new CsvFile(stream),
    };

    public abstract Task WriteAsync(ResultRow row);

    public abstract ValueTask DisposeAsync();

    /// <summary>Finds what is wrong with a path before any work is done.</summary>
    /// <exception cref="UsageException">No format for the ending, or no such folder.</exception>
    public static void Check(string? path)
    {
        if (path is null)
            return;
        if (!s_formats.ContainsKey(Path.GetExtension(path)))
            throw new UsageException($"--output {path}: the ending says the format, and there are {string.Join(" and ", s_formats.Keys)}.");
        if (Directory.Exists(path))
            throw new UsageException($"--output {path} is a folder: name a file.");
        if (!Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(path))))
            throw new UsageException($"--output {path}: there is no such folder.");
    }

    /// <summary>Starts a file; without a path, one that keeps nothing.</summary>
    /// <exception cref="UsageException">The file cannot be written.</exception>
    public static ResultFile Create(string? path)
    {
        if (path is null)
            return new NoFile();
        try
        {
            // Others may read it while it grows.
            return s_formats[Path.GetExtension(path)](new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--output {path} cannot be written: {e.Message}");
        }
    }

    sealed class NoFile : ResultFile
    {
        public override Task WriteAsync(ResultRow row) => Task.CompletedTask;

        public override ValueTask DisposeAsync() => default;
    }
}
