namespace MedVlm.Tests.Docs;

/// <summary>Code that pages show: compiled here, between <c>// snippet: name</c> and <c>// end</c>, or a member of the library itself.</summary>
internal static class Snippets
{
    const string Start = "// snippet: ", End = "// end";

    /// <summary>Folder of the snippets' source files.</summary>
    static string Folder => Path.Combine(TestFolders.Repository, "tests", "MedVlm.Sdk.Tests", "Docs", "Snippets");

    /// <summary>All snippets by name. Parts of one name (its usings, its body) are joined, an empty line between them.</summary>
    public static IReadOnlyDictionary<string, string> Load()
    {
        var parts = new Dictionary<string, List<string>>();
        foreach (var file in Directory.EnumerateFiles(Folder, "*.cs").Order(StringComparer.Ordinal))
        {
            List<string>? lines = null;
            foreach (var line in File.ReadLines(file))
            {
                if (line.Trim().StartsWith(Start, StringComparison.Ordinal))
                {
                    Assert.True(lines is null, $"{file}: a snippet begins within another.");
                    var name = line.Trim()[Start.Length..];
                    if (!parts.TryGetValue(name, out lines))
                        parts[name] = lines = [];
                    else
                        lines.Add("");
                }
                else if (line.Trim() == End)
                    lines = null;
                else if (lines is not null)
                    lines.Add(line);
            }
            Assert.True(lines is null, $"{file}: a snippet has no end.");
        }
        return parts.ToDictionary(part => part.Key, part => Dedent(part.Value));
    }

    /// <summary>A member of a source file with its documentation: from the line that holds <paramref name="anchor"/> to the member's end.</summary>
    public static string Member(string path, string anchor)
    {
        var lines = File.ReadAllLines(Path.Combine(TestFolders.Repository, path));
        var found = Enumerable.Range(0, lines.Length).Where(i => lines[i].Contains(anchor, StringComparison.Ordinal)).ToArray();
        Assert.True(found.Length == 1, $"{path} has {found.Length} lines with \"{anchor}\"; one is needed.");

        var (first, last) = (found[0], found[0]);
        var indent = lines[first][..^lines[first].TrimStart().Length];
        while (first > 0 && lines[first - 1].StartsWith($"{indent}///", StringComparison.Ordinal))
            first--;

        // A body in braces ends at the brace below the member's first letter, anything else at its semicolon.
        bool braces = false;
        for (; last < lines.Length; last++)
        {
            braces |= lines[last].TrimEnd() == $"{indent}{{";
            if (braces ? lines[last].StartsWith($"{indent}}}", StringComparison.Ordinal) : lines[last].TrimEnd().EndsWith(';'))
                break;
        }
        return Dedent([.. lines[first..(last + 1)]]);
    }

    static string Dedent(IReadOnlyList<string> lines)
    {
        int indent = lines.Where(line => line.Trim().Length > 0).Min(line => line.Length - line.TrimStart().Length);

        // Usings at the left edge do not hold the body below them there.
        if (indent == 0 && lines.ToList().IndexOf("") is > 0 and var gap && lines.Take(gap).All(line => line.StartsWith("using ", StringComparison.Ordinal)))
            return $"{string.Join('\n', lines.Take(gap))}\n\n{Dedent([.. lines.Skip(gap + 1)])}";
        return string.Join('\n', lines.Select(line => line.Trim().Length == 0 ? "" : line[indent..].TrimEnd())).Trim('\n');
    }
}
