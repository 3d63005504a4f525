using MedVlm.Evaluation.Files;

namespace MedVlm.Evaluation;

/// <summary>Reads files of captions: CSV (RFC 4180) with the columns ID and Caption, or JSON lines.</summary>
/// <remarks>
/// JSON lines are objects with <c>id</c> and <c>caption</c>; references may have <c>captions</c>, a list of several; candidates may have <c>error</c> in
/// place of a caption, where the model failed. Other keys and columns are passed over; where there is no caption, <c>text</c> is taken for it, which is
/// how the console's <c>caption</c> writes it. Both kinds are UTF-8, with or without a byte order mark; which of them a file is shows its first
/// character. A row may be 4 MiB long, a caption 65,536 characters.
/// </remarks>
public static class CaptionFile
{
    /// <summary>Reads references and candidates, and puts those of the same id together.</summary>
    /// <param name="references">A file with one or several captions for each image.</param>
    /// <param name="candidates">A file with the model's caption for each of the same images.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="EvaluationDataException">A file cannot be read, is not UTF-8 or is malformed; ids are missing, unknown or there twice. The
    /// message counts all and lists the first of each kind.</exception>
    public static CaptionSet ReadPairs(string references, string candidates, CancellationToken cancellationToken = default)
    {
        var referenceRows = ReadRows(references, candidate: false, cancellationToken);
        var candidateRows = ReadRows(candidates, candidate: true, cancellationToken).ToDictionary(row => row.Id);
        var known = referenceRows.Select(row => row.Id).ToHashSet();

        List<string> missing = [.. known.Where(id => !candidateRows.ContainsKey(id))];
        List<string> failed = [.. candidateRows.Values.Where(row => row.Captions.Count == 0 && known.Contains(row.Id)).Select(row => row.Id)];
        List<string> unknown = [.. candidateRows.Keys.Where(id => !known.Contains(id))];
        if (missing.Count + failed.Count + unknown.Count > 0)
            throw new EvaluationDataException($"{candidates} and {references} are not of the same images.{Ids("without a candidate", missing)}"
                + $"{Ids("whose candidate failed (\"error\")", failed)}{Ids("without a reference", unknown)} Score the same images in both.");
        if (referenceRows.Count == 0)
            throw new EvaluationDataException($"{references} has no captions.");

        CaptionPair[] pairs = [.. referenceRows.Select(row => new CaptionPair(row.Id, row.Captions, candidateRows[row.Id].Captions[0]))];
        return new(pairs, [.. pairs.Where(pair => string.IsNullOrWhiteSpace(pair.Candidate)).Select(pair => pair.Id)]);
    }

    /// <summary>Reads references.</summary>
    /// <param name="path">A file with one or several captions for each image.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <returns>The captions by the images' ids, in the order of the file.</returns>
    /// <exception cref="EvaluationDataException">The file cannot be read, is not UTF-8 or is malformed, or ids are there twice.</exception>
    public static IReadOnlyDictionary<string, IReadOnlyList<string>> ReadReferences(string path, CancellationToken cancellationToken = default) =>
        new OrderedDictionary<string, IReadOnlyList<string>>(
            ReadRows(path, candidate: false, cancellationToken).Select(row => KeyValuePair.Create(row.Id, row.Captions)));

    static List<CaptionRow> ReadRows(string path, bool candidate, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var faults = new FileFaults();
        var rows = new List<CaptionRow>();
        foreach (var row in CaptionRows.Read(path, faults, exactHeader: false, cancellationToken))
        {
            if (candidate && row.Captions.Count > 1)
                faults.Add(FaultKind.Malformed, $"line {row.Line} (\"{row.Id}\" has {row.Captions.Count} captions; a candidate is one)");
            else if (!candidate && row.Captions.Count == 0)
                faults.Add(FaultKind.Malformed, $"line {row.Line} (\"{row.Id}\" has no caption)");
            else
                rows.Add(row);
        }
        return faults.Any
            ? throw new EvaluationDataException(
                $"{path}: " + string.Join(" ", faults.All.Select(fault => FileFaults.Describe(fault.Kind, fault.Count, fault.First))))
            : rows;
    }

    static string Ids(string what, List<string> ids) => ids.Count == 0 ? ""
        : $" {FileFaults.Counted(ids.Count, "image")} {what}: {FileFaults.List(ids.Count, [.. ids.Take(FileFaults.Shown).Select(id => $"\"{id}\"")])}.";
}
