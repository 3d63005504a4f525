using System.Text;
using MedVlm.Models;

namespace MedVlm.Tests.Docs;

/// <summary>Pages cannot rot: their C# is compiled code, their links lead somewhere, and the table of families is the registry's.</summary>
public sealed class PageTests
{
    /// <summary>Set to 1, the tests rewrite the pages rather than compare them.</summary>
    const string UpdateVariable = "MEDVLM_UPDATE_DOCS";

    public static TheoryData<string> Pages => [.. Page.All];

    [Theory, MemberData(nameof(Pages))]
    public void Shows_compiled_code(string path)
    {
        var page = new Page(path);
        var (shown, compiled) = (page.Text, page.WithCompiledCode(Snippets.Load()));

        if (Environment.GetEnvironmentVariable(UpdateVariable) == "1")
            File.WriteAllText(page.FullPath, compiled);
        else
            Assert.True(shown == compiled, $"{path} shows other code than is compiled. {UpdateVariable}=1 dotnet test rewrites it.\n{Difference(shown, compiled)}");
    }

    [Fact]
    public void Every_snippet_is_shown_on_a_page() =>
        Assert.Empty(Snippets.Load().Keys.Except(Page.All.SelectMany(path => new Page(path).SnippetNames)));

    [Theory, MemberData(nameof(Pages))]
    public void Links_lead_to_files_of_the_repository(string path)
    {
        var page = new Page(path);
        Assert.All(page.LocalLinks, target =>
            Assert.True(Path.Exists(Path.Combine(Path.GetDirectoryName(page.FullPath)!, target)), $"{path} links to {target}, which is not there."));
    }

    [Fact]
    public void The_readme_says_of_each_family_what_the_registry_says()
    {
        // | SmolVLM, Idefics3 | checkpoint | `idefics3`, `smolvlm` | runs: … |
        var rows = new Page("README.md").Text.Split('\n').Where(line => line.StartsWith('|')).Select(line => line.Trim('|').Split('|'))
            .Where(cells => cells.Length == 4 && cells[2].Contains('`') && cells[3].Trim() != "State").ToList();

        Assert.Equal(7, rows.Count);
        Assert.All(rows, cells => Assert.True(cells[3].Trim().StartsWith("runs", StringComparison.Ordinal) || cells[3].Trim() == "planned", cells[3]));
        Assert.Equal(
            ModelRegistry.Supported,
            rows.Where(cells => cells[3].Trim() != "planned").SelectMany(cells => cells[2].Split('`').Where((_, i) => i % 2 == 1)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_readmes_commands_are_those_of_continuous_integration()
    {
        Assert.Contains("dotnet test -c Release", new Page("README.md").Text.Split('\n'));
        Assert.Contains(File.ReadLines(Path.Combine(TestFolders.Repository, ".ci", "run")), line => line.StartsWith("dotnet test -c Release 2>&1 |", StringComparison.Ordinal));
    }

    /// <summary>The first lines that differ, as a diff shows them.</summary>
    static string Difference(string shown, string compiled)
    {
        var (left, right) = (shown.Split('\n'), compiled.Split('\n'));
        int first = left.Zip(right).TakeWhile(pair => pair.First == pair.Second).Count();
        int same = left.Skip(first).Reverse().Zip(right.Skip(first).Reverse()).TakeWhile(pair => pair.First == pair.Second).Count();

        var text = new StringBuilder($"@@ line {first + 1} @@\n");
        foreach (var line in left[first..(left.Length - same)])
            text.Append($"- {line}\n");
        foreach (var line in right[first..(right.Length - same)])
            text.Append($"+ {line}\n");
        return text.ToString();
    }
}
