using System.Text.Json;
using System.Text.RegularExpressions;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Samples;

/// <summary>The console sample's rate and raters commands.</summary>
public sealed partial class ConsoleRateTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    string Write(string name, string content) => _folder.Write(name, content);

    string WriteCaptions(string name, int count) =>
        Write(name, "ID,Caption,Modality\n" + string.Concat(Enumerable.Range(0, count).Select(i => $"scan-{i:D3},caption {i} {new string('x', i % 7).Replace("x", "word ", StringComparison.Ordinal)},{(i % 4 == 0 ? "CT" : "X-ray")}\n")));

    JsonElement Sheet(string name) => JsonDocument.Parse(Json().Match(File.ReadAllText(_folder.File(name))).Groups[1].Value).RootElement;

    [GeneratedRegex("<script type=\"application/json\" id=\"sheet\">(.*?)</script>", RegexOptions.Singleline)]
    private static partial Regex Json();

    [Fact]
    public async Task Draws_a_sample_by_length_and_score()
    {
        var captions = WriteCaptions("r.csv", 120);

        var run = await ConsoleRun.Of("rate", "-r", captions, "-c", captions, "-o", _folder.File("sheet.html"), "--size", "24");

        Assert.Equal(0, run.ExitCode);
        Assert.Contains("24 of 120 captions from 12 strata, 0 with their image.", run.Out, StringComparison.Ordinal);
        Assert.Equal(24, Sheet("sheet.html").GetProperty("items").GetArrayLength());
    }

    [Fact]
    public async Task Draws_a_sample_by_a_label_with_images()
    {
        var captions = WriteCaptions("r.csv", 40);
        for (int i = 0; i < 40; i++)
            _folder.Write($"images/scan-{i:D3}.jpg", File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, "14-abdomen-ct.jpg")));
        Write("labels.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i => $$"""{"id":"scan-{{i:D3}}","view":"{{(i < 10 ? "axial" : "frontal")}}"}""" + "\n")));

        var run = await ConsoleRun.Of("rate", "-r", captions, "-c", captions, "-i", _folder.File("images"), "-o", _folder.File("a.html"), "-n", "8", "--label", "modality");
        await ConsoleRun.Of("rate", "-r", captions, "-c", captions, "-o", _folder.File("b.html"), "-n", "8", "--label", "view", "--labels", _folder.File("labels.jsonl"));
        await ConsoleRun.Of("rate", "-r", captions, "-c", captions, "-o", _folder.File("c.html"), "-n", "8", "--label", "view", "--labels", _folder.File("labels.jsonl"), "--seed", "3");

        Assert.Equal(0, run.ExitCode);
        Assert.Contains("8 of 40 captions from 2 strata, 8 with their image.", run.Out, StringComparison.Ordinal);
        string[] Strata(string name) => [.. Sheet(name).GetProperty("items").EnumerateArray().Select(item => item.GetProperty("stratum").GetString()!).Order(StringComparer.Ordinal)];
        Assert.Equal(["CT", "CT", "X-ray", "X-ray", "X-ray", "X-ray", "X-ray", "X-ray"], Strata("a.html"));
        Assert.Equal(["axial", "axial", "frontal", "frontal", "frontal", "frontal", "frontal", "frontal"], Strata("b.html"));
        Assert.NotEqual(Sheet("b.html").GetProperty("sheet").GetString(), Sheet("c.html").GetProperty("sheet").GetString());
    }

    [Fact]
    public async Task Counts_captions_without_a_label()
    {
        var captions = WriteCaptions("r.csv", 10);
        var labels = Write("labels.csv", "id,view\nscan-000,axial\nscan-001,\nother,frontal\n");

        var run = await ConsoleRun.Of("rate", "-r", captions, "-c", captions, "-o", _folder.File("a.html"), "--label", "view", "--labels", labels);

        Assert.Equal(0, run.ExitCode);
        Assert.Contains("labels.csv: 9 of 10 captions have no view, and are a stratum by themselves.", run.Error, StringComparison.Ordinal);
    }

    static string Answers(string rater, params int[] grades) => JsonSerializer.Serialize(new
    {
        format = "medvlm-ratings/1", sheet = "0123456789abcdef", rater, scales = new[] { "correctness" },
        items = grades.Select((grade, i) => new { id = $"{i}", stratum = "CT", scores = new { correctness = grade } }),
    });

    [Fact]
    public async Task Summarises_raters()
    {
        var (a, b) = (Write("a.json", Answers("Dr. A", 1, 2, 3, 4, 5, 5)), Write("b.json", Answers("Dr. B", 1, 2, 3, 4, 4, 5)));

        var run = await ConsoleRun.Of("raters", a, b, "--json", _folder.File("out.json"));

        Assert.Equal(0, run.ExitCode);
        Assert.Matches(@"correctness +6 +3\.25 +\d\.\d\d to \d\.\d\d +2 +2 +2 +3 +3", run.Out);
        Assert.Matches(@"Dr\. A +6 +0 +0 +3\.33", run.Out);
        Assert.Matches(@"Dr\. A, Dr\. B +0\.95\d \(", run.Out);
        Assert.Contains("Sheet 0123456789abcdef, 2 raters", run.Out, StringComparison.Ordinal);
        Assert.Equal("medvlm-rating-summary/1", JsonDocument.Parse(File.ReadAllBytes(_folder.File("out.json"))).RootElement.GetProperty("format").GetString());
    }

    [Theory]
    [InlineData("rate|-r|{r}|-c|{r}", "'--output' is required")]
    [InlineData("rate|-r|{r}|-c|{r}|-o|{o}|--size|0", "--size 0: a sheet has at least one caption.")]
    [InlineData("rate|-r|{r}|-c|{r}|-o|{o}|--labels|{r}", "--labels goes with --label, which names the column.")]
    [InlineData("rate|-r|{r}|-c|{r}|-o|{o}|--label|organ", "has no column \"organ\". Its columns are ID, Caption, Modality.")]
    [InlineData("rate|-r|{r}|-c|{r}|-o|{o}|--label|organ|--labels|{bad}", "has no line with \"id\" and \"organ\".")]
    [InlineData("rate|-r|{r}|-c|{r}|-o|{o}|--label|organ|--labels|{others}", "has none of the captions' ids (the first is \"scan-000\").")]
    [InlineData("rate|-r|{r}|-c|{r}|-o|{o}|--images|{folder}", "there is no image in the folder.")]
    [InlineData("raters", "Required argument")]
    [InlineData("raters|{r}", "cannot be read as a rater's answers")]
    [InlineData("raters|{a}|{a}", "Two files are of the rater \"A\".")]
    [InlineData("raters|{a}|--resamples|5", "--resamples 5: an interval needs at least 100.")]
    public async Task Says_what_is_wrong(string commandLine, string message)
    {
        var (r, a, bad) = (WriteCaptions("r.csv", 5), Write("a.json", Answers("A", 1, 2)), Write("bad.jsonl", "{\"id\":\"1\"}\n"));
        var others = Write("others.csv", "id,organ\nimage-1,lung\n");
        string[] args =
        [
            .. commandLine.Split('|').Select(part => part.Replace("{r}", r, StringComparison.Ordinal).Replace("{a}", a, StringComparison.Ordinal).Replace("{bad}", bad, StringComparison.Ordinal)
                .Replace("{others}", others, StringComparison.Ordinal)
                .Replace("{o}", _folder.File("sheet.html"), StringComparison.Ordinal).Replace("{folder}", _folder.Path, StringComparison.Ordinal)),
        ];

        var run = await ConsoleRun.Of(args);

        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.Equal(2, run.ExitCode);
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
    }
}
