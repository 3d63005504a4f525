namespace MedVlm.Datasets;

/// <summary>The names of a data set's parts, which the publishers write differently.</summary>
internal static class Splits
{
    /// <summary>Each split's names, in the order in which splits are read.</summary>
    static readonly string[][] s_names = [["train", "training"], ["valid", "validation", "val", "dev"], ["test", "testing"]];

    /// <summary>Where a split stands in the order; what is none of the usual ones comes after them.</summary>
    public static int Order(string name) => Array.FindIndex(s_names, names => names.Contains(name, StringComparer.OrdinalIgnoreCase)) is >= 0 and var place ? place : s_names.Length;

    /// <summary>Whether it is one of the usual names.</summary>
    public static bool IsUsual(string name) => Order(name) < s_names.Length;

    /// <summary>Whether two names mean the same split.</summary>
    public static bool Same(string a, string b) =>
        string.Equals(a, b, StringComparison.OrdinalIgnoreCase) || IsUsual(a) && Order(a) == Order(b);

    /// <summary>The splits that are asked for, in order.</summary>
    /// <exception cref="DatasetException">There is none of that name.</exception>
    public static IReadOnlyList<string> Choose(IEnumerable<string> there, string? asked)
    {
        var all = there.Distinct(StringComparer.Ordinal).OrderBy(Order).ThenBy(name => name, StringComparer.Ordinal).ToArray();
        if (asked is null)
            return all;
        var chosen = all.Where(name => Same(name, asked)).ToArray();
        return chosen.Length > 0 ? chosen : throw new DatasetException($"There is no split \"{asked}\" in this data set, only {string.Join(", ", all)}.");
    }
}
