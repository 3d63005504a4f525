using System.Globalization;
using System.Text.RegularExpressions;

namespace MedVlm.Datasets;

/// <summary>The parquet files of a data set, in order: train-00000-of-00027.parquet as data sets are uploaded, train/0000.parquet as the hub converts them.</summary>
internal static partial class ParquetFiles
{
    /// <summary>A file.</summary>
    /// <param name="Path">Its full path.</param>
    /// <param name="Split">The split that its name or its folder tells.</param>
    /// <param name="Name">Its name below the data set's folder: in folders by split two files may be called the same.</param>
    public readonly record struct Part(string Path, string Split, string Name);

    /// <summary>The files of a folder: those in it, or in "data", or in the folders of its splits. None if it has none.</summary>
    public static IReadOnlyList<Part> In(string folder)
    {
        foreach (var place in (string[])[folder, Path.Combine(folder, "data"), Path.Combine(folder, "default")])
        {
            var parts = Files(place).Select(path => new Part(path, SplitOf(path), Path.GetFileName(path)))
                .Concat(Folders(place).SelectMany(sub => Files(sub).Select(path => new Part(path, Path.GetFileName(sub), $"{Path.GetFileName(sub)}/{Path.GetFileName(path)}")))).ToArray();
            if (parts.Length > 0)
                return parts;
        }
        return [];
    }

    /// <summary>The files of one path, split by split, each in order.</summary>
    /// <exception cref="DatasetException">None, no such split, or a numbered row with gaps.</exception>
    public static IReadOnlyList<Part> Choose(string path, string? split)
    {
        IReadOnlyList<Part> parts = File.Exists(path) ? [One(Path.GetFullPath(path))] : In(Path.GetFullPath(path));
        if (parts.Count == 0)
            throw new DatasetException($"There is no parquet file at \"{path}\".");
        var splits = Splits.Choose(parts.Select(part => part.Split), split);
        var files = splits.SelectMany(name => parts.Where(part => part.Split == name).OrderBy(part => part.Path, StringComparer.Ordinal)).ToArray();
        if (!File.Exists(path))
            foreach (var row in files.GroupBy(part => (part.Split, Of: CountOf(part.Path))))
                if (row.Key.Of is { } of && row.Count() != of)
                    throw new DatasetException($"Of the {of} parquet files of the split {row.Key.Split} only {row.Count()} are there. Fetch the others, or name the files that are meant one by one.");
        return files;
    }

    /// <summary>A file that is named by itself: train/0000.parquet is of the split train, as it is where the folder is read.</summary>
    static Part One(string path)
    {
        var (split, folder) = (SplitOf(path), Path.GetFileName(Path.GetDirectoryName(path)) ?? "");
        return new(path, !Splits.IsUsual(split) && Splits.IsUsual(folder) ? folder : split, Path.GetFileName(path));
    }

    static string SplitOf(string path) => Numbered().Match(Path.GetFileName(path)) is { Success: true } match ? match.Groups["split"].Value : Path.GetFileNameWithoutExtension(path);

    static int? CountOf(string path) => Numbered().Match(Path.GetFileName(path)) is { Success: true } match && match.Groups["of"] is { Success: true } of
        && int.TryParse(of.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int count) ? count : null;

    static string[] Files(string folder) => Enumerate(() => Directory.GetFiles(folder, "*.parquet"));

    static IEnumerable<string> Folders(string folder) =>
        Enumerate(() => Directory.GetDirectories(folder)).Where(path => Splits.IsUsual(Path.GetFileName(path))).Order(StringComparer.Ordinal);

    static string[] Enumerate(Func<string[]> find)
    {
        try
        {
            return find();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    [GeneratedRegex(@"^(?<split>[^-]+)-\d+(-of-(?<of>\d+))?(-[0-9a-f]+)?\.parquet$", RegexOptions.CultureInvariant)]
    private static partial Regex Numbered();
}
