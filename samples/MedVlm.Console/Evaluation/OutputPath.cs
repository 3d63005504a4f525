namespace MedVlm.ConsoleSample.Evaluation;

/// <summary>Files that are written when all work is done: their paths are checked before it begins, and the file appears whole.</summary>
internal static class OutputPath
{
    /// <exception cref="UsageException">A folder, or in none.</exception>
    public static void Check(string option, string? path)
    {
        if (path is null)
            return;
        if (Directory.Exists(path))
            throw new UsageException($"{option} {path} is a folder: name a file.");
        if (!Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(path))))
            throw new UsageException($"{option} {path}: there is no such folder.");
    }

    /// <exception cref="UsageException">The file cannot be written.</exception>
    public static async Task WriteAsync(string option, string path, Func<Stream, Task> write)
    {
        var unfinished = path + ".tmp";
        try
        {
            await using (var stream = File.Create(unfinished))
                await write(stream);
            File.Move(unfinished, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{option} {path} cannot be written: {e.Message}");
        }
        finally
        {
            File.Delete(unfinished);
        }
    }
}
