namespace MedVlm.Datasets;

/// <summary>Reads a file line by line as bytes, without trusting the length of a line. A line ends with LF; a CR before it belongs to the line.</summary>
internal sealed class LineReader(Stream stream, int longest)
{
    byte[] _buffer = new byte[64 * 1024];
    int _start, _end;
    bool _atEnd;

    /// <summary>Lines read so far.</summary>
    public long Lines { get; private set; }

    /// <summary>Where the next line begins, from where the reading began.</summary>
    public long Position { get; private set; }

    /// <summary>The line read last, without its LF. Valid until the next is read.</summary>
    public ReadOnlyMemory<byte> Line { get; private set; }

    /// <summary>Whether the line read last had its LF; only the file's last may be without.</summary>
    public bool IsComplete { get; private set; }

    /// <summary>Reads the next line.</summary>
    /// <returns>Whether there is one.</returns>
    /// <exception cref="InvalidDataException">The line is longer than is allowed.</exception>
    public bool Read()
    {
        for (int searched = 0; ;)
        {
            int found = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (found >= 0)
                return Take(searched + found, complete: true);
            searched = _end - _start;
            if (_atEnd)
                return searched > 0 && Take(searched, complete: false);
            if (searched > longest)
                throw new InvalidDataException($"Line {Lines + 1} is longer than {longest} bytes.");
            Fill();
        }
    }

    bool Take(int length, bool complete)
    {
        Line = _buffer.AsMemory(_start, length);
        IsComplete = complete;
        int taken = length + (complete ? 1 : 0);
        (_start, Position, Lines) = (_start + taken, Position + taken, Lines + 1);
        return true;
    }

    void Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }
        if (_end == _buffer.Length)
            Array.Resize(ref _buffer, _buffer.Length * 2);
        int read = stream.Read(_buffer, _end, _buffer.Length - _end);
        (_end, _atEnd) = (_end + read, read == 0);
    }
}
