using System.Text.RegularExpressions;

namespace MedVlm.Checkpoints;

/// <summary>A model on the hub: "org/name", or "org/name@revision" with a branch, tag or commit.</summary>
internal sealed partial record HubId(string Repository, string Revision)
{
    const string DefaultRevision = "main";

    /// <summary>Reads an id by the hub's rules, which leave no way to name a folder outside the cache.</summary>
    /// <returns>Null where the text cannot be an id.</returns>
    public static HubId? TryParse(string text)
    {
        var (repository, revision) = text.Split('@') switch
        {
            [var name] => (name, DefaultRevision),
            [var name, var wanted] => (name, wanted),
            _ => ("", ""),
        };
        return RepositoryPattern().IsMatch(repository) && RevisionPattern().IsMatch(revision)
               && !ContainsForbidden(repository) && !revision.Contains("..", StringComparison.Ordinal)
            ? new HubId(repository, revision)
            : null;

        static bool ContainsForbidden(string name) =>
            name.Contains("..", StringComparison.Ordinal) || name.Contains("--", StringComparison.Ordinal);
    }

    /// <summary>Whether it is the revision that the hub shows first.</summary>
    public bool IsDefaultRevision => Revision == DefaultRevision;

    /// <summary>Whether the text has the form of a commit.</summary>
    public static bool IsCommit(string text) => CommitPattern().IsMatch(text);

    /// <summary>The command that downloads the model into the cache.</summary>
    public string FetchCommand => IsDefaultRevision
        ? $"hf download {Repository}"
        : $"hf download {Repository} --revision {Revision}";

    /// <summary>The command that downloads one file of it.</summary>
    public string FetchFileCommand(string fileName) => IsDefaultRevision
        ? $"hf download {Repository} {fileName}"
        : $"hf download {Repository} {fileName} --revision {Revision}";

    public override string ToString() => IsDefaultRevision ? Repository : $"{Repository}@{Revision}";

    [GeneratedRegex(@"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?\z")]
    private static partial Regex RepositoryPattern();

    [GeneratedRegex(@"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}){0,3}\z")]
    private static partial Regex RevisionPattern();

    [GeneratedRegex(@"^[A-Za-z0-9]{1,64}\z")]
    private static partial Regex CommitPattern();
}
