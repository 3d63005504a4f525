using MedVlm.Evaluation.Files;

namespace MedVlm.Evaluation;

/// <summary>Checks a submission to ImageCLEFmedical's caption task before it is sent.</summary>
public static class ClefSubmission
{
    /// <summary>Checks that a file is UTF-8, begins with <c>ID,Caption</c>, and has one line for each image and no others.</summary>
    /// <remarks>A byte order mark and blank lines are faults, also at the end: the task's scorer stops at them.</remarks>
    /// <param name="path">The CSV file.</param>
    /// <param name="ids">The images of the task's test set.</param>
    /// <param name="cancellationToken">Ends the check.</param>
    /// <returns>What is wrong with it; nothing, if it is fit to be sent.</returns>
    /// <exception cref="EvaluationDataException">The file cannot be read.</exception>
    public static ClefCheck Check(string path, IEnumerable<string> ids, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(ids);

        var faults = new FileFaults();
        List<CaptionRow> rows = [.. CaptionRows.Read(path, faults, exactHeader: true, cancellationToken)];
        var problems = faults.All
            .Select(fault => new ClefProblem((ClefProblemKind)fault.Kind, fault.Count, FileFaults.Describe(fault.Kind, fault.Count, fault.First)))
            .ToList();

        var expected = ids.ToHashSet(StringComparer.Ordinal);
        var given = rows.Select(row => row.Id).ToHashSet(StringComparer.Ordinal);
        if (rows.Count > 0 || !problems.Any(problem => problem.Kind is ClefProblemKind.Encoding or ClefProblemKind.Header))   // where no row was read, all ids would be missing
        {
            AddIds(ClefProblemKind.MissingId, "without a caption", [.. expected.Where(id => !given.Contains(id))]);
            AddIds(ClefProblemKind.UnknownId, "not in the test set", [.. rows.Select(row => row.Id).Where(id => !expected.Contains(id))]);
        }
        return new(rows.Count, problems);

        void AddIds(ClefProblemKind kind, string what, List<string> ids)
        {
            if (ids.Count > 0)
                problems.Add(new(kind, ids.Count,
                    $"{FileFaults.Counted(ids.Count, "image")} {what}: {FileFaults.List(ids.Count, [.. ids.Take(FileFaults.Shown).Select(id => $"\"{id}\"")])}."));
        }
    }
}

/// <summary>Outcome of <see cref="ClefSubmission.Check"/>.</summary>
/// <param name="Captions">Captions with an id of their own.</param>
/// <param name="Problems">What is wrong; empty if nothing is.</param>
public sealed record ClefCheck(int Captions, IReadOnlyList<ClefProblem> Problems)
{
    /// <summary>Whether the file is fit to be sent.</summary>
    public bool IsValid => Problems.Count == 0;
}

/// <summary>One kind of fault in a submission.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="Count">How often it occurs.</param>
/// <param name="Message">A sentence with the count and the first offenders.</param>
public sealed record ClefProblem(ClefProblemKind Kind, int Count, string Message);

/// <summary>What may be wrong with a submission.</summary>
public enum ClefProblemKind
{
    /// <summary>A line is not UTF-8.</summary>
    Encoding = FaultKind.Encoding,

    /// <summary>The first line is not <c>ID,Caption</c>, a byte order mark stands before it, or the file is JSON lines.</summary>
    Header = FaultKind.Header,

    /// <summary>A line is no CSV, has not two fields, or is blank.</summary>
    Malformed = FaultKind.Malformed,

    /// <summary>A line has no id.</summary>
    BlankId = FaultKind.BlankId,

    /// <summary>An id is there more than once.</summary>
    DuplicateId = FaultKind.DuplicateId,

    /// <summary>An image of the test set has no caption.</summary>
    MissingId,

    /// <summary>An id is not in the test set.</summary>
    UnknownId,
}
