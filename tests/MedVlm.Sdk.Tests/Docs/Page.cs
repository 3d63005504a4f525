using System.Text.RegularExpressions;

namespace MedVlm.Tests.Docs;

/// <summary>A Markdown page: its C# blocks, each with the comment above that says where its code comes from.</summary>
internal sealed partial class Page(string path)
{
    /// <summary>README.md, CHANGELOG.md and all below docs, relative to the repository.</summary>
    public static IEnumerable<string> All =>
        Directory.EnumerateFiles(TestFolders.Repository, "*.md")
            .Concat(Directory.EnumerateFiles(Path.Combine(TestFolders.Repository, "docs"), "*.md", SearchOption.AllDirectories))
            .Select(file => Path.GetRelativePath(TestFolders.Repository, file).Replace('\\', '/'))
            .Order(StringComparer.Ordinal);

    public string FullPath { get; } = Path.Combine(TestFolders.Repository, path);

    public string Text => File.ReadAllText(FullPath).ReplaceLineEndings("\n");

    /// <summary>Names of snippets that the page shows.</summary>
    public IEnumerable<string> SnippetNames => Blocks().Matches(Text).Select(block => block.Groups["snippet"].Value).Where(name => name.Length > 0);

    /// <summary>Targets of the page's links within the repository.</summary>
    public IEnumerable<string> LocalLinks =>
        Links().Matches(Text).Select(link => link.Groups[1].Value.Split('#')[0])
            .Where(target => target.Length > 0 && !target.Contains("://", StringComparison.Ordinal));

    /// <summary>The page as it should be: every C# block the code that its comment names.</summary>
    /// <exception cref="Xunit.Sdk.XunitException">A block names none, or one that does not exist.</exception>
    public string WithCompiledCode(IReadOnlyDictionary<string, string> snippets) => Blocks().Replace(Text, block =>
    {
        string Group(string name) => block.Groups[name].Value;

        Assert.True(
            Group("snippet").Length > 0 || Group("file").Length > 0,
            $"{path}: a C# block without <!-- snippet: name --> or <!-- source: file, text of the member's first line --> above it:\n{Group("code")}");
        if (Group("snippet").Length > 0)
            Assert.True(snippets.ContainsKey(Group("snippet")), $"{path}: no snippet is called \"{Group("snippet")}\".");

        var code = Group("snippet").Length > 0 ? snippets[Group("snippet")] : Snippets.Member(Group("file"), Group("anchor"));
        return $"{Group("marker")}{Group("fence")}{code}\n```";
    });

    [GeneratedRegex(
        @"(?<marker>(?:<!-- (?:snippet: (?<snippet>[\w-]+)|source: (?<file>[^,\n]+), (?<anchor>[^\n]+?)) -->\n)?)(?<fence>```(?:csharp|cs|c#|C#)[^\n]*\n)(?<code>.*?)\n?```(?=\n|$)",
        RegexOptions.Singleline)]
    private static partial Regex Blocks();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Links();
}
