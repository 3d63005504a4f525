using System.Globalization;
using CsCheck;
using MedVlm.Evaluation.Reports;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>The report's page: what it shows, and that no text in it becomes anything but text.</summary>
public sealed class ReportPageTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static Task<Page> PageOf(IReadOnlyList<CandidateSet> sets, ImageFolder? images = null) => PageOf(sets, images, null, TestMetric.Overlap, TestMetric.Percent);

    static async Task<Page> PageOf(IReadOnlyList<CandidateSet> sets, ImageFolder? images, EvaluationReportOptions? options, params ICaptionMetric[] metrics)
    {
        var report = await EvaluationReport.CreateAsync(
            sets, metrics, options ?? new() { Bootstrap = new() { Resamples = 100 } }, Token);
        return await Page.Of(stream => report.WriteHtmlAsync(stream, images, Token));
    }

    /// <summary>A score that does not depend on the text, so that only escaping could make a difference.</summary>
    static readonly TestMetric s_constant = new("Constant", _ => 0.5);

    static IReadOnlyList<CandidateSet> Two(int count = 60) => [new("fp16.csv", TestCaptions.Make(count, 0.9)), new("int4.csv", TestCaptions.Make(count, 0.6))];

    [Fact]
    public async Task Shows_scores_comparison_plots_and_examples()
    {
        var page = await PageOf(Two());

        page.AssertSelfContained();
        Assert.Equal(
            ["Scores", "int4.csv against fp16.csv", "Distribution of scores", "Score by caption length", "Single pairs", "Origin"],
            page.Document.QuerySelectorAll("h2").Select(heading => heading.TextContent));
        Assert.Equal(4, page.Document.QuerySelectorAll("figure svg[role=img][aria-label]").Length);   // two metrics, two plots each
        Assert.All(page.Document.QuerySelectorAll("figure svg"), plot => Assert.Matches("fp16.csv, .*int4.csv, ", plot.GetAttribute("aria-label")));
        Assert.Equal(["lower", "lower"], page.Document.QuerySelectorAll(".verdict").Select(verdict => verdict.TextContent));
        Assert.Equal(["Overlap", "Percent"], page.Document.QuerySelectorAll("#by option").Select(option => option.TextContent));
        Assert.Equal(6, page.Document.QuerySelectorAll("[data-list=low] article").Length);
    }

    [Theory, InlineData("fi-FI"), InlineData("ar-SA"), InlineData("th-TH")]
    public async Task Dates_and_numbers_are_the_same_in_every_culture(string culture)
    {
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(culture);
        try
        {
            var page = await PageOf(Two(10), null, new() { Bootstrap = new() { Resamples = 100, Confidence = 0.955 }, TimeProvider = new Noon() }, TestMetric.Overlap);

            Assert.Contains("10 images, 2026-02-01 12:30 UTC", page.Document.QuerySelector("header .muted")!.TextContent, StringComparison.Ordinal);
            Assert.Equal("95.5 % interval", page.Document.QuerySelectorAll("thead th")[2].TextContent);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    sealed class Noon : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2026, 2, 1, 12, 30, 0, TimeSpan.Zero);
    }

    [Fact]
    public async Task Lists_the_worst_first_and_what_changed_most()
    {
        CaptionPair Pair(int i, string candidate) => new($"{i}", ["a b c d"], candidate);
        CandidateSet first = new("first", [Pair(1, "a b c d"), Pair(2, "a x x x"), Pair(3, "x"), Pair(4, "a b x x")]);
        CandidateSet second = new("second", [Pair(1, "x"), Pair(2, "a b c x"), Pair(3, "x y"), Pair(4, "a b x x")]);

        var page = await PageOf([first, second]);

        var places = page.Document.QuerySelectorAll("article").ToDictionary(article => article.QuerySelector(".id")!.TextContent, article => article.GetAttribute("data-places")!.Split(' '));
        Assert.Equal(["1", "2", "3", "4"], places.Keys.Order());
        Assert.Equal(["fell:0:0", "low:0:0"], places["1"].Where(place => place.Contains(":0:", StringComparison.Ordinal)).Order());
        Assert.Equal(["high:0:0", "rose:0:0"], places["2"].Where(place => place.Contains(":0:", StringComparison.Ordinal)).Order());
        Assert.Equal(["low:0:1"], places["3"].Where(place => place.Contains(":0:", StringComparison.Ordinal)));   // no better and no worse than before
    }

    [Fact]
    public async Task Is_whole_for_one_pair_and_for_equal_scores()
    {
        (await PageOf([new("one", [new("1", ["a b"], "a b")])])).AssertSelfContained();
        (await PageOf([new("same", [.. Enumerable.Range(0, 9).Select(i => new CaptionPair($"{i}", ["a b", "c"], ""))])])).AssertSelfContained();
    }

    [Fact]
    public async Task Hostile_text_stays_text()
    {
        IReadOnlyList<CandidateSet> Sets(Func<int, string> text) =>
            [.. new[] { 0, 1 }.Select(s => new CandidateSet(text(s), [.. Enumerable.Range(0, 15).Select(i => new CaptionPair(text(i) + i, [text(i)], text(i + s)))]))];
        EvaluationReportOptions Options(Func<int, string> text) => new()
        {
            Bootstrap = new() { Resamples = 100 }, Files = [new(text(0), text(1), 1, text(2))], Settings = new Dictionary<string, string> { [text(3)] = text(4) },
        };
        string Hostile(int i) => Page.HostileTexts[i % Page.HostileTexts.Length];

        var harmless = await PageOf(Sets(i => $"text{i % Page.HostileTexts.Length}"), null, Options(i => $"text{i}"), s_constant);
        var hostile = await PageOf(Sets(Hostile), null, Options(Hostile), s_constant);

        hostile.AssertSelfContained();
        Assert.Equal(harmless.Structure, hostile.Structure);
        Assert.Contains(hostile.Document.QuerySelectorAll("dd"), caption => caption.TextContent == Page.HostileTexts[0]);
        Assert.Contains(hostile.Document.QuerySelectorAll("dd"), caption => caption.TextContent == "&lt;b&gt; &amp; &#60;");
    }

    [Fact]
    public void No_text_adds_an_element() => Gen.String.Sample(text =>
    {
        var page = PageOf([new(text, [new(text, [text], text), new(text + "2", [text, text], text)])], null, null, s_constant).GetAwaiter().GetResult();

        page.AssertSelfContained();
        Assert.Equal(s_plain.Value.Structure, page.Structure);
    }, iter: 60);

    static readonly Lazy<Page> s_plain = new(() => PageOf([new("x", [new("x", ["x"], "x"), new("x2", ["x", "x"], "x")])], null, null, s_constant).GetAwaiter().GetResult());

    [Fact]
    public async Task Embeds_images_scaled_down_and_says_which_it_could_not_show()
    {
        using var folder = new TemporaryFolder();
        folder.Write("sub/image-0.jpg", File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg")));
        folder.Write("image-1.png", "no image");

        var page = await PageOf([new("few", TestCaptions.Make(4, 0.5))], new ImageFolder(folder.Path));

        page.AssertSelfContained();
        var image = Assert.Single(page.Document.Images);
        Assert.StartsWith("data:image/jpeg;base64,/9j/", image.GetAttribute("src"), StringComparison.Ordinal);
        Assert.Equal(("335", "360", "Image image-0"), (image.GetAttribute("width"), image.GetAttribute("height"), image.GetAttribute("alt")));   // of 596 x 640
        Assert.Equal(
            ["No image of this id in the folder.", "No image of this id in the folder."],
            page.Document.QuerySelectorAll(".noimage").Select(missing => missing.TextContent).Where(text => text.StartsWith("No image", StringComparison.Ordinal)));
        Assert.Single(page.Document.QuerySelectorAll(".noimage"), missing => missing.TextContent.Contains("image format", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("a.png", "a.png")]
    [InlineData("a", "a.png")]
    [InlineData("sub/b.jpg", "sub/b.jpg")]
    [InlineData("sub/b", "sub/b.jpg")]
    [InlineData("c", "sub/c.png")]
    [InlineData("c.png", "sub/c.png")]
    [InlineData("b", null)]          // sub/b.jpg or other/b.jpg
    [InlineData("b.jpg", null)]
    [InlineData("d", "d.png")]       // closer than other/d.png
    [InlineData("../outside", null)]
    [InlineData("../outside.png", null)]
    [InlineData("outside.png", null)]
    [InlineData("/etc/passwd", null)]
    [InlineData("notes", null)]
    [InlineData("", null)]
    public void Finds_images_by_id_within_the_folder_only(string id, string? file)
    {
        using var folder = new TemporaryFolder();
        foreach (var name in (string[])["outside.png", "in/a.png", "in/sub/b.jpg", "in/other/b.jpg", "in/sub/c.png", "in/d.png", "in/other/d.png", "in/notes.txt"])
            folder.Write(name, "");

        var images = new ImageFolder(folder.File("in"));

        Assert.Equal(6, images.Count);
        Assert.Equal(file is null ? null : Path.GetFullPath(folder.File("in/" + file)), images.Find(id) is { } path ? Path.GetFullPath(path) : null);
    }

    [Fact]
    public async Task Runs_in_Chromium_without_asking_for_anything()
    {
        var sets = new[] { 0, 1 }.Select(s => new CandidateSet($"model {s}", [.. Page.HostileTexts.Select((text, i) => new CaptionPair($"{i}", [text], Page.HostileTexts[(i + s) % 3]))])).ToArray();
        if (await (await PageOf(sets)).RunInChromiumAsync(Token) is not var (document, netLog))
        {
            Assert.Skip("There is no Chromium on this machine.");
            return;
        }

        Assert.Equal("Caption evaluation: model 0 and model 1", document.Title);
        Assert.False(document.QuerySelector("#theme")!.HasAttribute("hidden"));                       // the script ran, so its hash is right
        Assert.NotEmpty(document.QuerySelectorAll("[data-list=fell] article"));
        Assert.DoesNotContain("evil.example", netLog, StringComparison.Ordinal);
    }
}
