using System.Buffers;

namespace MedVlm.Datasets;

/// <summary>The images that failed, in a file of their own, so that the file of captions has each id once. A line for each attempt while a job runs, for each image after it.</summary>
internal sealed class JobFailures : IDisposable
{
    /// <summary>How many a report lists.</summary>
    public const int MostListed = 1000;

    readonly JobFiles _files;
    readonly ArrayBufferWriter<byte> _buffer = new();
    readonly LineFile _file;

    /// <summary>Failures in a row that are no image's fault: nobody knows yet whether they count.</summary>
    readonly List<CaptionJobFailure> _inARow = [];

    /// <summary>Images with an attempt that counts.</summary>
    readonly HashSet<UInt128> _counted = [];

    /// <summary>Whether this run has had a caption.</summary>
    bool _captioned;

    /// <summary>Attempts at the damaged images that this run tries again.</summary>
    readonly Dictionary<UInt128, int> _damaged = [];

    /// <summary>Opens the file and tells the index what failed before.</summary>
    public JobFailures(JobFiles files, DatasetIndex index, CaptionJobRetry retry)
    {
        _files = files;
        _file = LineFile.Open(files.Failures, line =>
        {
            if (JobLines.ReadFailure(line) is not var (failure, damaged))
                return false;
            if (retry.StartOver)
                return true;
            _counted.Add(IdHash.Of(failure.Id).Key);
            bool again = damaged && retry.DamagedImages;
            index.SetAttempts(failure.Id, again ? 0 : damaged ? int.MaxValue : failure.Attempts);
            if (again)
                _damaged[IdHash.Of(failure.Id).Key] = failure.Attempts;
            else if (_damaged.Count > 0)
                _damaged.Remove(IdHash.Of(failure.Id).Key);
            return true;
        });
    }

    /// <summary>Failures since the last caption that are no image's fault.</summary>
    public int InARow => _inARow.Count;

    /// <summary>
    /// Whether an error is the image's own fault, and comes again as long as the image is the same. A file that cannot be read may lie on a share
    /// that is away; data that ends too early (<see cref="EndOfStreamException"/>) is the image's fault.
    /// </summary>
    public static bool IsDamage(Exception error) =>
        error is ImageException or DatasetException && error.InnerException is not (IOException and not EndOfStreamException or UnauthorizedAccessException);

    /// <summary>
    /// Notes a failed attempt. One that is no image's fault is held back while no caption comes: a model that cannot run must not use up the attempts
    /// at its images. It is written by <see cref="CaptionCame"/>, and forgotten if the job ends before. A file that is absent again, in a folder that is
    /// there, counts at once: it is no model's fault and no share's, and where ten of them are all that is left, no caption comes between them.
    /// </summary>
    /// <param name="id">The image's id.</param>
    /// <param name="error">Why it failed.</param>
    /// <param name="attempts">Attempts before this one.</param>
    /// <returns>Attempts with this one.</returns>
    public int Add(string id, Exception error, int attempts)
    {
        var key = IdHash.Of(id).Key;
        bool again = attempts > 0 && (_captioned || _counted.Contains(key)) && IsAbsent(error);
        attempts = 1 + (_damaged.Remove(key, out int earlier) ? earlier : attempts);
        var failure = new CaptionJobFailure(id, error.GetType().Name, error.Message, attempts);
        if (again)
            _inARow.RemoveAll(held => held.Id == id);
        if (again || IsDamage(error))
            Append(failure, IsDamage(error));
        else
            _inARow.Add(failure);
        return attempts;
    }

    /// <summary>Whether an image's file is not in its folder, which has others: a share that is away leaves no folder, or an empty one.</summary>
    static bool IsAbsent(Exception error)
    {
        try
        {
            return error.InnerException is FileNotFoundException { FileName: { } file }
                && Path.GetDirectoryName(Path.GetFullPath(file)) is { } folder && Directory.EnumerateFileSystemEntries(folder).Any();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>A caption has come: what failed before it counts.</summary>
    public void CaptionCame()
    {
        _captioned = true;
        Settle();
    }

    void Settle()
    {
        foreach (var failure in _inARow)
            Append(failure, damaged: false);
        _inARow.Clear();
    }

    public void Flush() => _file.Flush();

    /// <summary>Closes the file and leaves in it the last attempt at each image that still has no caption; without any, no file.</summary>
    /// <returns>The first of them, and the path of the file if it is there.</returns>
    public (IReadOnlyList<CaptionJobFailure> Listed, string? Path) Complete(DatasetIndex index)
    {
        Settle();
        Dispose();
        return Gather([_files.Failures], _files.Failures, (_, id) => index.IsOpen(id));
    }

    /// <summary>Puts the last attempt at each image that has no caption into one file; without any, there is no file after it.</summary>
    /// <param name="sources">Files of failures, which need not be there.</param>
    /// <param name="target">The file, which may be one of them.</param>
    /// <param name="isOpen">Whether an id of a source, by its number, has no caption.</param>
    /// <inheritdoc cref="Complete"/>
    public static (IReadOnlyList<CaptionJobFailure> Listed, string? Path) Gather(IReadOnlyList<string> sources, string target, Func<int, string, bool> isOpen)
    {
        var last = new Dictionary<UInt128, long>();
        ForEach(sources, (source, number, failure, _) =>
        {
            if (isOpen(source, failure.Id))
                last[IdHash.Of(failure.Id).Key] = number;
        });

        if (last.Count == 0)
        {
            File.Delete(target);
            return ([], null);
        }

        var listed = new List<CaptionJobFailure>();
        var buffer = new ArrayBufferWriter<byte>();
        AtomicFile.Write(target, stream => ForEach(sources, (_, number, failure, damaged) =>
        {
            if (!last.TryGetValue(IdHash.Of(failure.Id).Key, out long lastNumber) || lastNumber != number)
                return;
            if (listed.Count < MostListed)
                listed.Add(failure);
            stream.Write(JobLines.Failure(buffer, failure, damaged));
        }));
        return (listed, target);
    }

    public void Dispose() => _file.Dispose();

    void Append(CaptionJobFailure failure, bool damaged)
    {
        _counted.Add(IdHash.Of(failure.Id).Key);
        _file.Append(JobLines.Failure(_buffer, failure, damaged));
    }

    static void ForEach(IReadOnlyList<string> sources, Action<int, long, CaptionJobFailure, bool> take)
    {
        long number = 0;
        for (int i = 0; i < sources.Count; i++)
        {
            int source = i;
            LineFile.ReadAll(sources[i], line =>
            {
                if (JobLines.ReadFailure(line) is not var (failure, damaged))
                    return false;
                take(source, number++, failure, damaged);
                return true;
            });
        }
    }
}
