using System.Text.Json;
using CsCheck;
using MedVlm.Evaluation.Ratings;
using MedVlm.Evaluation.Statistics;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>Raters' files and what is said of them together.</summary>
public sealed class RatingSummaryTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>A rater's grades on one scale, one character for each caption; a point is a missing one, an x one that cannot be judged.</summary>
    static RatingAnswers Rater(string name, string grades, string sheet = "s", string scale = "correctness") => new(
        RatingAnswers.CurrentFormat, sheet, name, [scale],
        [.. grades.Select((grade, i) => (Grade: grade, Id: $"{i:D2}")).Where(one => one.Grade != '.').Select(one => new RatedItem(
            one.Id, one.Grade == 'x' ? new Dictionary<string, int>() : new Dictionary<string, int> { [scale] = one.Grade - '0' }, one.Id[1] % 2 == 0 ? "even" : "odd", one.Grade == 'x'))]);

    static RatingSummary Summary(params RatingAnswers[] raters) => RatingSummary.Of(raters, cancellationToken: Token);

    /// <summary>Krippendorff's example of 2011 (see the tests of alpha), as files of four raters.</summary>
    static readonly RatingAnswers[] s_krippendorff = [Rater("A", "123321412..."), Rater("B", "1233224125.3"), Rater("C", ".3332342251."), Rater("D", "12332441251.")];

    [Fact]
    public void Agrees_with_the_published_example()
    {
        var scale = Summary(s_krippendorff).Scales[0];

        Assert.Equal(0.815, scale.AlphaOrdinal!.Value!.Value, 0.0005);
        Assert.Equal(0.849, scale.AlphaInterval!.Value!.Value, 0.0005);
        Assert.Equal((11, 12), (scale.AlphaOrdinal.Items, scale.Items));
        Assert.InRange(scale.AlphaInterval.Value.Value, scale.AlphaInterval.Lower!.Value, scale.AlphaInterval.Upper!.Value);
        Assert.Equal(["A B", "A C", "A D", "B C", "B D", "C D"], scale.Kappas.Select(pair => $"{pair.First} {pair.Second}"));
        Assert.Equal(WeightedKappa.Quadratic([1, 2, 3, 3, 2, 1, 4, 1, 2], [1, 2, 3, 3, 2, 2, 4, 1, 2]), scale.Kappas[0].Kappa.Value);
    }

    [Fact]
    public void Means_are_over_captions_then_raters()
    {
        var scale = Summary(Rater("A", "15.3"), Rater("B", "1..5")).Scales[0];

        Assert.Equal((3, (1.0 + 5 + 4) / 3), (scale.Items, scale.Mean));
        Assert.Equal([2, 0, 1, 0, 2], scale.Grades);
        Assert.Equal([("A", 3, 3.0), ("B", 2, 3.0)], scale.Raters.Select(rater => (rater.Rater, rater.Items, rater.Mean!.Value)));
        Assert.Equal([("even", 1, 1.0), ("odd", 2, 4.5)], scale.Strata.Select(stratum => (stratum.Stratum, stratum.Items, stratum.Mean)));
        Assert.InRange(scale.Mean, scale.Lower, scale.Upper);
    }

    [Fact]
    public void What_cannot_be_judged_does_not_count()
    {
        var summary = Summary(Rater("A", "15x"), Rater("B", "154"));

        Assert.Equal([new RaterCounts("A", 2, 1, 0), new RaterCounts("B", 3, 0, 0)], summary.Raters);
        Assert.Equal(2, summary.Scales[0].AlphaOrdinal!.Items);
    }

    [Fact]
    public void A_scale_that_nobody_answered_is_left_out()
    {
        var rater = Rater("A", "123");

        var summary = Summary(rater with { Scales = ["fluency", .. rater.Scales] });

        Assert.Equal("correctness", Assert.Single(summary.Scales).Scale);
    }

    [Fact]
    public void The_order_of_files_and_answers_makes_no_difference()
    {
        var forward = Summary(s_krippendorff).Scales[0];
        var backward = Summary([.. s_krippendorff.Reverse().Select(rater => rater with { Items = [.. rater.Items.Reverse()] })]).Scales[0];

        Assert.Equal((forward.Mean, forward.Lower, forward.Upper), (backward.Mean, backward.Lower, backward.Upper));
        Assert.Equal(forward.AlphaOrdinal!.Lower!.Value, backward.AlphaOrdinal!.Lower!.Value, 1e-12);
    }

    [Fact]
    public void One_rater_agrees_with_nobody_and_equal_grades_tell_nothing()
    {
        var one = Summary(Rater("A", "1234")).Scales[0];
        Assert.Null(one.AlphaOrdinal);
        Assert.Empty(one.Kappas);

        var same = Summary(Rater("A", "333"), Rater("B", "333")).Scales[0];
        Assert.Equal(new AgreementSummary(3, null, null, null), same.AlphaOrdinal);
        Assert.Equal(new AgreementSummary(3, null, null, null), same.Kappas[0].Kappa);

        var few = Summary(Rater("A", "15"), Rater("B", "15")).Scales[0];   // a sample may hold the same caption twice
        Assert.Equal(new AgreementSummary(2, 1, null, null), few.AlphaOrdinal);

        Assert.Equal(new AgreementSummary(0, null, null, null), Summary(Rater("A", "1."), Rater("B", ".1")).Scales[0].AlphaOrdinal);
    }

    [Fact]
    public async Task Its_JSON_is_laid_out_as_its_page_says()
    {
        using var stream = new MemoryStream();
        await Summary(s_krippendorff).WriteJsonAsync(stream, Token);
        var json = JsonDocument.Parse(stream.ToArray()).RootElement;

        static string[] Members(JsonElement element) => [.. element.EnumerateObject().Select(member => member.Name)];
        Assert.Equal(["format", "sheet", "raters", "scales"], Members(json));
        Assert.Equal(["rater", "rated", "cannot_judge", "reference_shown"], Members(json.GetProperty("raters")[0]));
        Assert.Equal(["scale", "items", "mean", "lower", "upper", "grades", "raters", "strata", "alpha_ordinal", "alpha_interval", "kappas"], Members(json.GetProperty("scales")[0]));
        Assert.Equal(["items", "value", "lower", "upper"], Members(json.GetProperty("scales")[0].GetProperty("alpha_ordinal")));
    }

    [Fact]
    public async Task Reads_what_the_sheet_saves()
    {
        var file = _folder.Write("a.json", """
            { "format": "medvlm-ratings/1", "sheet": "0123456789abcdef", "rater": "Dr. Ü", "saved": "2026-01-01T00:00:00.000Z", "scales": ["correctness", "fluency"], "of": 500,
              "items": [
                { "id": "ROCO_1", "stratum": "CT", "scores": { "correctness": 5 }, "cannot_judge": false, "reference_shown": true, "comment": "no <b>" },
                { "id": "ROCO_2", "stratum": "CT", "scores": {}, "cannot_judge": true, "reference_shown": false, "comment": "" } ] }
            """);

        var answers = await RatingAnswers.ReadAsync(file, Token);

        Assert.Equal(("0123456789abcdef", "Dr. Ü", 2), (answers.Sheet, answers.Rater, answers.Items.Count));
        Assert.Equal((5, true, "no <b>"), (answers.Items[0].Scores["correctness"], answers.Items[0].ReferenceShown, answers.Items[0].Comment));
        Assert.True(answers.Items[1].CannotJudge);
    }

    [Theory]
    [InlineData("", "cannot be read as a rater's answers")]
    [InlineData("[]", "cannot be read as a rater's answers")]
    [InlineData("null", "says that its format is \"\", not \"medvlm-ratings/1\"")]
    [InlineData("""{ "format": "x/2", "sheet": "s", "rater": "A", "scales": [], "items": [] }""", "says that its format is \"x/2\", not \"medvlm-ratings/1\"")]
    [InlineData("""{ "format": "medvlm-ratings/1", "sheet": "s", "scales": [], "items": [] }""", "rater")]
    [InlineData("""{ "format": "medvlm-ratings/1", "sheet": "s", "rater": " ", "scales": [], "items": [] }""", "the rater has no name.")]
    [InlineData("""{ "format": "medvlm-ratings/1", "sheet": "s", "rater": "A", "scales": ["c"], "items": [{ "id": "1", "scores": { "c": 6 } }] }""", "item \"1\" has the grade 6 for c; grades are 1 to 5.")]
    [InlineData("""{ "format": "medvlm-ratings/1", "sheet": "s", "rater": "A", "scales": ["c"], "items": [{ "id": "1", "scores": { "d": 5 } }] }""", "item \"1\" is rated on \"d\", which is none of the file's scales.")]
    [InlineData("""{ "format": "medvlm-ratings/1", "sheet": "s", "rater": "A", "scales": ["c"], "items": [{ "id": "1", "scores": {} }, { "id": "1", "scores": {} }] }""", "item \"1\" occurs more than once.")]
    [InlineData("""{ "format": "medvlm-ratings/1", "sheet": "s", "rater": "A", "scales": ["c"], "items": [null] }""", "a scale or an item is null.")]
    [InlineData("""{ "format": "medvlm-ratings/1", "sheet": "s", "rater": "A", "scales": ["c"], "items": [{ "id": "1", "scores": { "c": 2.5 } }] }""", "cannot be read as a rater's answers")]
    public async Task Says_what_is_wrong_with_a_file(string content, string message)
    {
        var file = _folder.Write("a.json", content);

        var error = await Assert.ThrowsAsync<RatingFileException>(() => RatingAnswers.ReadAsync(file, Token));

        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.StartsWith(file, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_files_fail_by_name_or_are_read() => Gen.Byte.Array[0, 4].Select(Gen.Int[0, 300]).Sample((bytes, at) =>
    {
        var content = """{ "format": "medvlm-ratings/1", "sheet": "s", "rater": "A", "scales": ["c"], "items": [{ "id": "1", "scores": { "c": 2 } }] }"""u8.ToArray();
        bytes.CopyTo(content.AsSpan(Math.Min(at, content.Length - bytes.Length)));
        var file = _folder.Write("fuzz.json", content);
        try
        {
            Assert.NotNull(RatingAnswers.ReadAsync(file).GetAwaiter().GetResult());
        }
        catch (RatingFileException)
        {
        }
    }, iter: 300, threads: 1);

    [Fact]
    public async Task Says_which_files_do_not_go_together()
    {
        static void Fails(string message, params RatingAnswers[] raters) => Assert.Equal(message, Assert.Throws<RatingFileException>(() => Summary(raters)).Message);

        Fails("There are no raters' answers to summarise.");
        Fails("A rated sheet s, B sheet t: only answers to one sheet go together.", Rater("A", "1"), Rater("B", "1", sheet: "t"));
        Fails("A answered the scales correctness, B fluency: only answers to one sheet go together.", Rater("A", "1"), Rater("B", "1", scale: "fluency"));
        Fails("Two files are of the rater \"A\". Give each rater's file once, and raters names of their own.", Rater("A", "1"), Rater("A", "2"));
        Fails("No rater graded any caption. Give files of raters who have answered.", Rater("A", "x"));
        Assert.Contains("none.json", (await Assert.ThrowsAsync<RatingFileException>(() => RatingAnswers.ReadAsync(_folder.File("none.json"), Token))).Message, StringComparison.Ordinal);
    }
}
