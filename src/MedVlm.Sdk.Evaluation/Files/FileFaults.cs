namespace MedVlm.Evaluation.Files;

/// <summary>What may be wrong with a file of captions.</summary>
internal enum FaultKind
{
    Encoding,
    Header,
    Malformed,
    BlankId,
    DuplicateId,
}

/// <summary>Faults of one file: all are counted, the first of each kind are kept.</summary>
internal sealed class FileFaults
{
    /// <summary>How many of each kind are described.</summary>
    public const int Shown = 5;

    readonly SortedDictionary<FaultKind, (int Count, List<string> First)> _faults = [];

    public IEnumerable<(FaultKind Kind, int Count, IReadOnlyList<string> First)> All =>
        _faults.Select(fault => (fault.Key, fault.Value.Count, (IReadOnlyList<string>)fault.Value.First));

    public bool Any => _faults.Count > 0;

    public void Add(FaultKind kind, string what)
    {
        var (count, first) = _faults.TryGetValue(kind, out var known) ? known : (0, []);
        if (first.Count < Shown)
            first.Add(what);
        _faults[kind] = (count + 1, first);
    }

    /// <summary>A sentence for each kind: how many, the first of them, what to do.</summary>
    public static string Describe(FaultKind kind, int count, IReadOnlyList<string> first) => kind switch
    {
        FaultKind.Encoding => $"not UTF-8 on {Counted(count, "line")}: {List(count, first)}. Save the file as UTF-8.",
        FaultKind.Header => $"{List(count, first)}.",
        FaultKind.Malformed => $"{Counted(count, "malformed line")}: {List(count, first)}.",
        FaultKind.BlankId => $"{Counted(count, "line")} without an id: {List(count, first)}.",
        _ => $"{Counted(count, "id")} more than once: {List(count, first)}. Each image has one line.",
    };

    /// <summary>The first offenders, and how many more there are.</summary>
    public static string List(int count, IReadOnlyList<string> first) =>
        string.Join("; ", first) + (count > first.Count ? $"; and {count - first.Count} more" : "");

    public static string Counted(int count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";
}
