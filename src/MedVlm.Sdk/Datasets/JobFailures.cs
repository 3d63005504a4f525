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

    /// <summary>Opens the file and tells the index what failed before.</summary>
    public JobFailures(JobFiles files, DatasetIndex index, CaptionJobRetry retry)
    {
        _files = files;
        _file = LineFile.Open(files.Failures, line =>
        {
            if (JobLines.ReadFailure(line) is not var (failure, damaged))
                return false;
            if (!retry.StartOver)
                index.SetAttempts(failure.Id, damaged && !retry.DamagedImages ? int.MaxValue : failure.Attempts);
            return true;
        });
    }

    /// <summary>Whether an error is the image's own fault, and comes again as long as the image is the same.</summary>
    public static bool IsDamage(Exception error) => error is ImageException or DatasetException;

    public void Append(string id, Exception error, int attempts) =>
        _file.Append(JobLines.Failure(_buffer, new CaptionJobFailure(id, error.GetType().Name, error.Message, attempts), IsDamage(error)));

    public void Flush() => _file.Flush();

    /// <summary>Closes the file and leaves in it the last attempt at each image that still has no caption; without any, no file.</summary>
    /// <returns>The first of them, and the path of the file if it is there.</returns>
    public (IReadOnlyList<CaptionJobFailure> Listed, string? Path) Complete(DatasetIndex index)
    {
        Dispose();
        var last = new Dictionary<UInt128, long>();
        ForEach((number, failure, _) =>
        {
            if (index.IsOpen(failure.Id))
                last[IdHash.Of(failure.Id).Key] = number;
        });

        if (last.Count == 0)
        {
            File.Delete(_files.Failures);
            return ([], null);
        }

        var listed = new List<CaptionJobFailure>();
        AtomicFile.Write(_files.Failures, stream => ForEach((number, failure, damaged) =>
        {
            if (!last.TryGetValue(IdHash.Of(failure.Id).Key, out long lastNumber) || lastNumber != number)
                return;
            if (listed.Count < MostListed)
                listed.Add(failure);
            stream.Write(JobLines.Failure(_buffer, failure, damaged));
        }));
        return (listed, _files.Failures);
    }

    public void Dispose() => _file.Dispose();

    void ForEach(Action<long, CaptionJobFailure, bool> take)
    {
        long number = 0;
        LineFile.ReadAll(_files.Failures, line =>
        {
            if (JobLines.ReadFailure(line) is not var (failure, damaged))
                return false;
            take(number++, failure, damaged);
            return true;
        });
    }
}
