namespace MedVlm.Datasets;

/// <summary>A file that only grows, line by line, and survives the end of its writer at any moment.</summary>
/// <remarks>
/// A line is one write to the operating system, so that a process that ends leaves whole lines and at most a torn one at the end, which the
/// next opening cuts off. <see cref="Flush"/> forces the lines to the disk, against a power failure.
/// </remarks>
internal sealed class LineFile : IDisposable
{
    /// <summary>Longer than any caption of 8192 tokens.</summary>
    public const int LongestLine = 16 << 20;

    readonly FileStream _stream;
    bool _dirty;

    LineFile(FileStream stream) => _stream = stream;

    /// <summary>Opens or creates the file, reads its lines and cuts off a torn one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="read">Takes a line; whether it is one of ours.</param>
    /// <exception cref="CaptionJobException">A line is not ours, or the file cannot be opened.</exception>
    public static LineFile Open(string path, Func<ReadOnlySpan<byte>, bool> read)
    {
        var stream = JobFiles.Open(path, () => new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0));
        try
        {
            stream.SetLength(Read(path, stream, read));
            stream.Seek(0, SeekOrigin.End);
            return new LineFile(stream);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Reads the whole lines of a file that may not be there.</summary>
    /// <inheritdoc cref="Open"/>
    public static void ReadAll(string path, Func<ReadOnlySpan<byte>, bool> read)
    {
        if (!File.Exists(path))
            return;
        using var stream = JobFiles.Open(path, () => new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0));
        Read(path, stream, read);
    }

    /// <summary>Appends a line, which ends with LF.</summary>
    public void Append(ReadOnlySpan<byte> line)
    {
        _stream.Write(line);
        _dirty = true;
    }

    /// <summary>Forces what was appended to the disk.</summary>
    public void Flush()
    {
        if (_dirty)
            _stream.Flush(flushToDisk: true);
        _dirty = false;
    }

    public void Dispose()
    {
        Flush();
        _stream.Dispose();
    }

    /// <returns>Where the last whole line ends.</returns>
    static long Read(string path, Stream stream, Func<ReadOnlySpan<byte>, bool> read)
    {
        var lines = new LineReader(stream, LongestLine);
        long end = 0;
        try
        {
            while (lines.Read() && lines.IsComplete)
            {
                if (!read(lines.Line.Span))
                    throw Foreign(path, lines.Lines);
                end = lines.Position;
            }
            return end;
        }
        catch (InvalidDataException)
        {
            throw Foreign(path, lines.Lines + 1);
        }
    }

    static CaptionJobException Foreign(string path, long line) => new(
        $"{Path.GetFileName(path)}: line {line} is none that a caption job writes. The file was changed, or damaged by the disk. Delete that line "
        + "(an image whose line is gone is captioned again), or give another output file.");
}
