namespace MedVlm.Datasets;

/// <summary>The files of a job, all named after its output.</summary>
internal sealed class JobFiles
{
    const string Ending = ".jsonl";

    readonly string _stem;

    /// <exception cref="CaptionJobException">The path is none for an output.</exception>
    public JobFiles(string output)
    {
        ArgumentException.ThrowIfNullOrEmpty(output);
        Output = Path.GetFullPath(output);
        if (!Output.EndsWith(Ending, StringComparison.OrdinalIgnoreCase) || Output.EndsWith(".failed.jsonl", StringComparison.OrdinalIgnoreCase))
            throw new CaptionJobException($"The output is a file of JSON lines: give it a name that ends in {Ending}, such as captions{Ending}.");
        if (Directory.Exists(Output))
            throw new CaptionJobException("The output is a folder: give a file.");
        if (!Directory.Exists(Path.GetDirectoryName(Output)))
            throw new CaptionJobException("The folder of the output does not exist: create it first.");
        _stem = Output[..^Ending.Length];
    }

    public string Output { get; }

    public string Name => Path.GetFileName(Output);

    public string Failures => _stem + ".failed.jsonl";

    public string Provenance => _stem + ".provenance.json";

    public string Lock => _stem + ".lock";

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
    /// <exception cref="CaptionJobException">Another process has it.</exception>
    public IDisposable TakeLock()
    {
        try
        {
            return new FileStream(Lock, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or PathTooLongException))
        {
            throw new CaptionJobException($"{Name} is being written by another process. Wait for it, or give each its own output (and shard).", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CaptionJobException("The folder of the output cannot be written. Check who may write there.", e);
        }
    }
}
