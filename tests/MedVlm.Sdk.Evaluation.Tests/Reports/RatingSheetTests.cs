using System.Text.Json;
using AngleSharp.Html.Dom;
using CsCheck;
using MedVlm.Evaluation.Ratings;
using MedVlm.Evaluation.Reports;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>The rating sheet's page.</summary>
public sealed class RatingSheetTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static RatingSheet Sheet(params string[] captions) => new("Captions of radiology images", [.. captions.Select((caption, i) => new RatingItem($"id-{i}", "short, low score", caption, [$"reference {i}"]))]);

    static Task<Page> PageOf(RatingSheet sheet, ImageFolder? images = null) => Page.Of(stream => sheet.WriteHtmlAsync(stream, images, Token));

    static JsonElement Data(Page page) => JsonDocument.Parse(page.Document.QuerySelector("script#sheet")!.TextContent).RootElement;

    [Fact]
    public async Task Holds_captions_references_and_images_and_shows_neither_id_nor_stratum()
    {
        var sheet = new RatingSheet("Sheet", [new("01-chest-xray-clear", "chest", "Frontal chest radiograph.", ["Clear lungs.", "Normal chest."]), new("none", "chest", "", ["x"])]);

        var page = await PageOf(sheet, new ImageFolder(TestFolders.Phantoms));

        page.AssertSelfContained();
        var items = Data(page).GetProperty("items");
        Assert.Equal("Frontal chest radiograph.", items[0].GetProperty("caption").GetString());
        Assert.Equal(["Clear lungs.", "Normal chest."], items[0].GetProperty("references").EnumerateArray().Select(reference => reference.GetString()));
        Assert.StartsWith("data:image/jpeg;base64,/9j/", items[0].GetProperty("image").GetString(), StringComparison.Ordinal);
        Assert.Equal("No image of this id in the folder.", items[1].GetProperty("missing").GetString());
        Assert.DoesNotContain("01-chest", page.Document.Body!.QuerySelector("main")!.TextContent, StringComparison.Ordinal);
        Assert.Equal(["correctness", "completeness", "fluency"], page.Document.QuerySelectorAll("fieldset").Select(scale => scale.GetAttribute("data-scale")));
        Assert.Equal(15, page.Document.QuerySelectorAll("fieldset input[type=radio]").Length);
        Assert.All(page.Document.QuerySelectorAll("input, textarea"), input => Assert.True(
            ((IHtmlElement)input).Closest("label") is not null || page.Document.QuerySelector($"label[for={input.Id}]") is not null, $"{input.Id} has no label"));
    }

    [Fact]
    public void No_text_leaves_its_place_in_the_JSON() => Gen.OneOf(Gen.String, Gen.Int[0, Page.HostileTexts.Length - 1].Select(i => Page.HostileTexts[i])).Sample(text =>
    {
        var page = PageOf(new RatingSheet(text, [new(text, text, text, [text])])).GetAwaiter().GetResult();

        page.AssertSelfContained();
        Assert.Equal(s_plain.Value.Structure, page.Structure);
        // A surrogate without its other half cannot be written as UTF-8.
        var expected = string.Concat(text.EnumerateRunes());
        Assert.Equal(expected, Data(page).GetProperty("items")[0].GetProperty("caption").GetString());
    }, iter: 80);

    static readonly Lazy<Page> s_plain = new(() => PageOf(Sheet("x")).GetAwaiter().GetResult());

    [Fact]
    public void A_sheets_id_is_that_of_its_content()
    {
        Assert.Matches("^[0-9a-f]{16}$", Sheet("a", "b").Id);
        Assert.Equal(Sheet("a", "b").Id, Sheet("a", "b").Id);
        Assert.Equal(5, new[]
        {
            Sheet("a", "b").Id, Sheet("b", "a").Id, Sheet("a").Id, Sheet("ab").Id,
            new RatingSheet("", Sheet("a").Items, [new RatingScale("k", "K", "?", "no", "yes")]).Id,
        }.Distinct().Count());
    }

    [Fact]
    public void Samples_captions_by_seed()
    {
        var pairs = TestCaptions.Make(100, 0.7);
        string[] strata = [.. pairs.Select((_, i) => i % 4 == 0 ? "CT" : "X-ray")];

        var sheet = RatingSheet.Sample("s", pairs, strata, 20, seed: 7);

        Assert.Equal(["CT", "X-ray"], sheet.Items.Select(item => item.Stratum).Distinct().Order());
        Assert.Equal(5, sheet.Items.Count(item => item.Stratum == "CT"));
        Assert.All(sheet.Items, item => Assert.Equal(pairs.Single(pair => pair.Id == item.Id).Candidate, item.Caption));
        Assert.Equal(sheet.Id, RatingSheet.Sample("s", pairs, strata, 20, seed: 7).Id);
        Assert.NotEqual(sheet.Id, RatingSheet.Sample("s", pairs, strata, 20, seed: 8).Id);
        Assert.Equal(100, RatingSheet.Sample("s", pairs, strata).Items.Count);
    }

    [Fact]
    public void Says_what_cannot_be_a_sheet()
    {
        void Fails(string message, Func<RatingSheet> make) => Assert.StartsWith(message, Assert.Throws<ArgumentException>(make).Message, StringComparison.Ordinal);

        Fails("A rating sheet needs at least one caption.", () => Sheet());
        Fails("The id \"1\" occurs more than once on the sheet.", () => new("s", [new("1", "", "", []), new("1", "", "", [])]));
        Fails("A rating sheet needs scales with keys of their own", () => new("s", Sheet("x").Items, []));
        Fails("A rating sheet needs scales with keys of their own", () => new("s", Sheet("x").Items, [new("A b", "", "", "", "")]));
        Fails("1 names of strata do not go with 2 pairs.", () => RatingSheet.Sample("s", TestCaptions.Make(2, 0.5), ["x"]));
    }

    [Fact]
    public async Task Runs_in_Chromium_without_asking_for_anything()
    {
        if (await (await PageOf(Sheet(Page.HostileTexts[2], "second"))).RunInChromiumAsync(Token) is not var (document, netLog))
        {
            Assert.Skip("There is no Chromium on this machine.");
            return;
        }

        Assert.Equal("Captions of radiology images", document.Title);
        Assert.Equal(Page.HostileTexts[2], document.QuerySelector("#caption")!.TextContent);
        Assert.Equal("Caption 1 of 2, 0 rated", document.QuerySelector("#position")!.TextContent);
        Assert.True(document.QuerySelector("#references")!.HasAttribute("hidden"));
        Assert.Empty(document.QuerySelectorAll("#caption *"));
        Assert.DoesNotContain("evil.example", netLog, StringComparison.Ordinal);
    }
}
