using System.Globalization;

namespace MedVlm.Evaluation.Files;

/// <summary>Reads the rows of a file of captions, CSV or JSONL, one after another; what is wrong goes to the faults.</summary>
internal static class CaptionRows
{
    /// <summary>Longest line or CSV row: room for a very long caption, and none for a file without line ends.</summary>
    public const int LongestRow = 4 << 20;

    /// <summary>Longest caption in characters: alignments take time with the square of the length.</summary>
    public const int LongestCaption = 1 << 16;

    /// <summary>The rows with an id of their own.</summary>
    /// <param name="path">The file.</param>
    /// <param name="faults">Takes what is wrong.</param>
    /// <param name="exactHeader">The file must be CSV as the ImageCLEF scorer reads it: the header <c>ID,Caption</c> to the letter, no byte order mark,
    /// no blank line.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="EvaluationDataException">The file cannot be read.</exception>
    public static IEnumerable<CaptionRow> Read(string path, FileFaults faults, bool exactHeader, CancellationToken cancellationToken)
    {
        bool json = Open(path, file => Utf8Check.Check(file, faults, cancellationToken));
        if (faults.Any)
            yield break;   // as text it would be nonsense
        if (json && exactHeader)
        {
            faults.Add(FaultKind.Header, "the file is JSON lines; it must be CSV whose first line is ID,Caption");
            yield break;
        }

        var lineOf = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var row in json ? JsonCaptionRows.Read(path, faults) : CsvCaptionRows.Read(path, faults, exactHeader))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (string.IsNullOrWhiteSpace(row.Id))
                faults.Add(FaultKind.BlankId, $"line {row.Line}");
            else if (lineOf.TryGetValue(row.Id, out int before))
                faults.Add(FaultKind.DuplicateId, $"\"{row.Id}\" (lines {before} and {row.Line})");
            else
            {
                lineOf.Add(row.Id, row.Line);
                if (row.Captions.FirstOrDefault(caption => caption.Length > LongestCaption) is { } caption)
                    faults.Add(FaultKind.Malformed, string.Create(CultureInfo.InvariantCulture,
                        $"line {row.Line} (the caption of \"{row.Id}\" has {caption.Length:N0} characters; {LongestCaption:N0} are the most)"));
                else
                    yield return row;
            }
        }
    }

    static T Open<T>(string path, Func<FileStream, T> read)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16, FileOptions.SequentialScan);
            return read(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EvaluationDataException($"{path} cannot be read: {e.Message}", e);
        }
    }
}
