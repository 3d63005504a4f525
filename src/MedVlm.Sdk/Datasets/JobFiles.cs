namespace MedVlm.Datasets;

/// <summary>The files of a job, all named after its output.</summary>
internal sealed class JobFiles
{
    const string Ending = ".jsonl", FailuresEnding = ".failed.jsonl";

    readonly string _stem;

    /// <exception cref="CaptionJobException">The path is none for an output.</exception>
    public JobFiles(string output)
    {
        ArgumentException.ThrowIfNullOrEmpty(output);
        Output = Path.GetFullPath(output);
        if (!Output.EndsWith(Ending, StringComparison.OrdinalIgnoreCase) || IsFailures(Output))
            throw new CaptionJobException($"The output is a file of JSON lines: give it a name that ends in {Ending}, such as captions{Ending}.");
        if (Directory.Exists(Output))
            throw new CaptionJobException("The output is a folder: give a file.");
        if (!Directory.Exists(Path.GetDirectoryName(Output)))
            throw new CaptionJobException("The folder of the output does not exist: create it first.");
        _stem = Output[..^Ending.Length];
    }

    /// <summary>Whether a path is that of a file of failures, by its name.</summary>
    public static bool IsFailures(string path) => path.EndsWith(FailuresEnding, StringComparison.OrdinalIgnoreCase);

    public string Output { get; }

    public string Name => Path.GetFileName(Output);

    public string Failures => _stem + FailuresEnding;

    public string Provenance => _stem + ".provenance.json";

    public string Lock => _stem + ".lock";

    /// <summary>Checks before the work begins that a CSV can be written where it is wanted, and over no file of a job.</summary>
    /// <param name="csv">The path; null for none.</param>
    /// <param name="jobs">The jobs whose files it may not be.</param>
    /// <exception cref="CaptionJobException">The path is none for a CSV.</exception>
    public static void CheckCsv(string? csv, IEnumerable<JobFiles> jobs)
    {
        if (csv is null)
            return;
        if (csv.Length == 0)
            throw new CaptionJobException("The CSV has an empty path: give a file, or none.");
        var path = Path.GetFullPath(csv);
        if (Directory.Exists(path))
            throw new CaptionJobException("The CSV is a folder: give a file.");
        if (!Directory.Exists(Path.GetDirectoryName(path)))
            throw new CaptionJobException("The folder of the CSV does not exist: create it first.");

        // Where letter case is no difference, it would be the same file.
        foreach (var job in jobs)
            if (((string[])[job.Output, job.Failures, job.Provenance, job.Lock]).Contains(path, StringComparer.OrdinalIgnoreCase))
                throw new CaptionJobException($"The CSV would replace {Path.GetFileName(path)}, a file of the job {job.Name}: give it a name of its own.");
    }

    /// <summary>Opens a file of a job.</summary>
    /// <exception cref="CaptionJobException">It cannot be opened.</exception>
    public static FileStream Open(string path, Func<FileStream> open)
    {
        try
        {
            return open();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CaptionJobException($"{Path.GetFileName(path)} cannot be opened. {e.Message}", e);
        }
    }

    /// <summary>
    /// Takes the output for this process; the system releases it when the process ends, however it ends. The lock is a file of its own, so that
    /// everyone can read the results meanwhile, and it stays: who deletes it while another process opens it would let two in.
    /// </summary>
    /// <exception cref="CaptionJobException">Another process has it, or the lock cannot be opened.</exception>
    public IDisposable TakeLock() => Locked(FileAccess.ReadWrite, FileShare.None);

    /// <summary>
    /// Keeps writers away while this process reads what a job has written; other readers may do so too. A lock that is there is only read, so
    /// that it serves on a share that is read only.
    /// </summary>
    /// <returns>The lock; null where there is none and none can be made: nothing is written there, least of all by a job, which makes its lock first.</returns>
    /// <exception cref="CaptionJobException">Another process is writing, or a lock that is there cannot be opened.</exception>
    public IDisposable? TakeReadLock()
    {
        try
        {
            return Locked(FileAccess.Read, FileShare.Read);
        }
        catch (CaptionJobException) when (!File.Exists(Lock))
        {
            return null;
        }
    }

    FileStream Locked(FileAccess access, FileShare share)
    {
        try
        {
            return new FileStream(Lock, FileMode.OpenOrCreate, access, share, bufferSize: 0);
        }
        catch (IOException e) when (IsHeld(e))
        {
            throw new CaptionJobException($"{Name} is being written by another process. Wait for it, or give each its own output (and shard).", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CaptionJobException($"{Path.GetFileName(Lock)} cannot be opened. {e.Message}", e);
        }
    }

    /// <summary>
    /// Whether another process has a file open that allows no other: Windows' sharing and lock violations; elsewhere .NET gives the number of
    /// EWOULDBLOCK, which is Linux's 11 and macOS' 35.
    /// </summary>
    static bool IsHeld(IOException e) => OperatingSystem.IsWindows()
        ? e.HResult is unchecked((int)0x80070020) or unchecked((int)0x80070021)
        : e.HResult == (OperatingSystem.IsLinux() ? 11 : 35);
}
