using System.Globalization;
using System.Text.Json;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Samples;

/// <summary>The console sample's evaluate command: from images to a score table.</summary>
public sealed class ConsoleEvaluateTests : IDisposable
{
    const string References = "ID,Caption\na,CT of the chest\nb,\"An X-ray, lateral\"\nc,MRI of the brain\nd,Ultrasound of the breast\n";

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    string Write(string name, string content) => _folder.Write(name, content);

    /// <summary>
    /// Scores that a second implementation, in Python, gives the reference's own captions of these images. The model card has 16 of the
    /// 24 drawn images right to the word; of the real ones 29 of 33 are.
    /// </summary>
    [Theory]
    [InlineData("phantoms", 24, 16, 80.89781506933072, 0.9000995134896064, 0.8537171706289354)]
    [InlineData("tiny-eval", 33, 29, 91.81658394930504, 0.9506221801465258, 0.9343236284412755)]
    public async Task The_TinyModel_scores_what_its_reference_scores(string set, int images, int exact, double sacreBleu, double rougeL, double rouge2)
    {
        if ((set == "phantoms" ? TestFolders.Phantoms : TestFolders.Shared("models", set)) is not { } folder)
        {
            Assert.Skip("The real images (third-party, never committed) are not beside this checkout.");
            return;
        }

        WriteReferences(folder);
        var scans = set == "phantoms" ? folder : Path.Combine(folder, "images");
        await ConsoleRun.Of("caption", scans, "--prompt", "Describe this medical image.", "--output", _folder.File("captions.jsonl"));

        var run = await ConsoleRun.Of(
            "evaluate", "--references", _folder.File("references.jsonl"), "--candidates", _folder.File("captions.jsonl"), "--images", scans,
            "--metrics", "sacrebleu,rouge,bleu,meteor,cider", "--json", _folder.File("report.json"), "--html", _folder.File("report.html"));

        Assert.Equal(("", 0), (run.Error.Replace("Scoring 6 of 6", "", StringComparison.Ordinal).Trim(), run.ExitCode));
        var report = JsonDocument.Parse(File.ReadAllBytes(_folder.File("report.json"))).RootElement;
        Assert.Equal(images, report.GetProperty("counts").GetProperty("pairs").GetInt32());
        var metrics = report.GetProperty("candidates")[0].GetProperty("metrics").EnumerateArray().ToDictionary(metric => metric.GetProperty("name").GetString()!);
        double Value(string name) => metrics[name].GetProperty("value").GetDouble();
        Assert.Equal(sacreBleu, Value("sacreBLEU"), 1e-6);
        Assert.Equal(rougeL, Value("ROUGE-L"), 1e-9);
        Assert.Equal(rouge2, Value("ROUGE-2"), 1e-9);
        Assert.Equal(exact, metrics["ROUGE-2"].GetProperty("per_pair").EnumerateArray().Count(score => score.GetDouble() == 1));
        Assert.StartsWith(Value("sacreBLEU").ToString("F2", CultureInfo.InvariantCulture), run.Row("sacreBLEU")[12..].TrimStart(), StringComparison.Ordinal);

        var page = File.ReadAllText(_folder.File("report.html"));
        Assert.Contains("data:image/jpeg;base64,", page, StringComparison.Ordinal);
        Assert.DoesNotContain("No image of this id", page, StringComparison.Ordinal);
    }

    /// <summary>The card's figures are of 2,264 test images; the 33 are some of them, not drawn at random, so that the figures must lie within their intervals.</summary>
    [Fact]
    public async Task The_model_cards_figures_lie_within_the_intervals()
    {
        if (TestFolders.Shared("models", "tiny-eval") is not { } folder)
        {
            Assert.Skip("The real images (third-party, never committed) are not beside this checkout.");
            return;
        }

        WriteReferences(folder);
        var card = File.ReadAllText(Path.Combine(TestFolders.TinyModel, "MODEL_CARD.md"));
        Assert.Contains("88.7 against all references", card, StringComparison.Ordinal);
        Assert.Contains("ROUGE-L 0.949", card, StringComparison.Ordinal);
        await ConsoleRun.Of("caption", Path.Combine(folder, "images"), "--prompt", "Describe this medical image.", "-o", _folder.File("captions.csv"));

        await ConsoleRun.Of(
            "evaluate", "-r", _folder.File("references.jsonl"), "-c", _folder.File("captions.csv"), "--metrics", "sacrebleu", "rouge", "--json", _folder.File("report.json"));

        var metrics = JsonDocument.Parse(File.ReadAllBytes(_folder.File("report.json"))).RootElement.GetProperty("candidates")[0].GetProperty("metrics");
        foreach (var (name, figure) in new[] { ("sacreBLEU", 88.7), ("ROUGE-L", 0.949) })
        {
            var metric = metrics.EnumerateArray().Single(metric => metric.GetProperty("name").GetString() == name);
            Assert.InRange(figure, metric.GetProperty("lower").GetDouble(), metric.GetProperty("upper").GetDouble());
        }
    }

    /// <summary>references.json of a folder of images, as lines with the ids that the caption command gives.</summary>
    void WriteReferences(string folder)
    {
        var answers = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "references.json"))).RootElement.EnumerateArray();
        Write("references.jsonl", string.Concat(answers.Select(answer =>
            $$"""{"id":"{{Path.GetFileName(answer.GetProperty("image").GetString())}}","captions":{{JsonSerializer.Serialize(answer.GetProperty("references"))}}}""" + "\n")));
    }

    [Fact]
    public async Task Compares_two_candidates_over_the_same_images()
    {
        Write("r.csv", References);
        Write("a/c.csv", References.Replace("chest", "head", StringComparison.Ordinal));
        Write("b/c.csv", References);

        var run = await ConsoleRun.Of("evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("a/c.csv"), "-c", _folder.File("b/c.csv"), "--metrics", "rouge", "--json", _folder.File("out.json"));

        Assert.Equal(0, run.ExitCode);
        Assert.Matches(@"ROUGE-L +0\.9375 +0\.\d{4} to 1\.0000 +1\.0000 +1\.0000 to 1\.0000", run.Out);
        Assert.Matches(@"ROUGE-L +\+0\.0625 +0\.0000 to 0\.\d{4} +0\.\d{3} +1 +3 +0", run.Out);
        Assert.Contains("4 images, 4 references; 1000 bootstrap samples, seed 0.", run.Out, StringComparison.Ordinal);
        var report = JsonDocument.Parse(File.ReadAllBytes(_folder.File("out.json"))).RootElement;
        Assert.Equal([_folder.File("a/c.csv"), _folder.File("b/c.csv")], report.GetProperty("candidates").EnumerateArray().Select(candidate => candidate.GetProperty("name").GetString()));
        Assert.Equal(["references", "candidates", "candidates"], report.GetProperty("provenance").GetProperty("files").EnumerateArray().Select(file => file.GetProperty("role").GetString()));
    }

    [Fact]
    public async Task A_seed_gives_the_same_report_again()
    {
        Write("r.csv", "ID,Caption\n" + string.Concat(Enumerable.Range(0, 40).Select(i => $"{i},{string.Join(' ', Enumerable.Range(0, 9))}\n")));
        Write("c.csv", "ID,Caption\n" + string.Concat(Enumerable.Range(0, 40).Select(i => $"{i},{string.Join(' ', Enumerable.Range(i % 7, 9))}\n")));
        async Task<string> Run(string seed)
        {
            await ConsoleRun.Of("evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("c.csv"), "--seed", seed, "--json", _folder.File("out.json"));
            return JsonDocument.Parse(File.ReadAllBytes(_folder.File("out.json"))).RootElement.GetProperty("candidates").GetRawText();
        }

        Assert.Equal(await Run("5"), await Run("5"));
        Assert.NotEqual(await Run("5"), await Run("6"));
    }

    [Fact]
    public async Task Says_how_many_captions_are_empty_and_scores_them()
    {
        Write("r.csv", References);
        Write("c.csv", "ID,Caption\na,CT of the chest\nb,\nc,\" \"\nd,x\n");

        var run = await ConsoleRun.Of("evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("c.csv"), "--metrics", "rouge");

        Assert.Equal(0, run.ExitCode);
        Assert.Matches(@"ROUGE-1 +0\.2500", run.Out);
        Assert.Contains("c.csv: 2 empty captions.", run.Out, StringComparison.Ordinal);
        Assert.Contains("c.csv: 2 empty captions, which are scored: \"b\"; \"c\".", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_the_first_five_empty_captions()
    {
        Write("r.csv", "ID,Caption\n" + string.Concat(Enumerable.Range(1, 7).Select(i => $"i{i},CT\n")));
        Write("c.csv", "ID,Caption\n" + string.Concat(Enumerable.Range(1, 7).Select(i => $"i{i},\n")));

        var run = await ConsoleRun.Of("evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("c.csv"), "--metrics", "rouge");

        Assert.Contains("7 empty captions, which are scored: \"i1\"; \"i2\"; \"i3\"; \"i4\"; \"i5\"; and 2 more.", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Scores_as_ImageCLEF_does_and_checks_the_submission()
    {
        Write("r.csv", References);
        Write("good.csv", References.Replace("CT", "ct", StringComparison.Ordinal));
        Write("bad.csv", References.Replace("ID,Caption", "id,caption", StringComparison.Ordinal));

        var good = await ConsoleRun.Of("evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("good.csv"), "--clef");
        var bad = await ConsoleRun.Of("evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("bad.csv"), "--clef");

        Assert.Equal(0, good.ExitCode);
        Assert.Matches(@"ROUGE-1 \(ImageCLEF\) +1\.0000", good.Out);
        Assert.Contains("a valid submission of 4 captions.", good.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("METEOR", good.Out, StringComparison.Ordinal);
        Assert.Equal(1, bad.ExitCode);
        Assert.Contains("not a valid submission", bad.Out, StringComparison.Ordinal);
        Assert.Contains("it must be ID,Caption", bad.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Scores_BERTScore_with_an_encoder_of_the_users()
    {
        Write("r.csv", References);
        Write("c.csv", References.Replace("chest", "head", StringComparison.Ordinal));
        var encoder = Path.Combine(TestFolders.Repository, "tests", "goldens", "components", "encoders", "bert");
        string[] common = ["evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("c.csv"), "--bert", encoder, "--bert-layer"];

        var plain = await ConsoleRun.Of([.. common, "1", "--metrics", "rouge", "--bert-idf", "--json", _folder.File("out.json")]);
        var clef = await ConsoleRun.Of([.. common, "1", "--clef"]);
        var rescaled = await ConsoleRun.Of([.. common, "1", "--metrics", "rouge", "--bert-baseline", Path.Combine(encoder, "baseline.tsv")]);
        var wrong = await ConsoleRun.Of([.. common, "99"]);
        var damaged = await ConsoleRun.Of([.. common, "1", "--bert-baseline", _folder.File("r.csv")]);

        Assert.Equal((0, 0, 0, 2), (plain.ExitCode, clef.ExitCode, rescaled.ExitCode, wrong.ExitCode));
        Assert.Matches(@"BERTScore-IDF F1 +0\.\d{4} ", plain.Out);
        Assert.Matches(@"BERTScore-IDF \(ImageCLEF\) F1 +0\.\d{4} ", clef.Out);
        Assert.Matches(@"BERTScore F1 +-?\d\.\d{4} ", rescaled.Out);
        Assert.Contains("r.csv: the first line is not \"LAYER,P,R,F\"", damaged.Error, StringComparison.Ordinal);
        Assert.Contains("--bert-layer: ", wrong.Error, StringComparison.Ordinal);
        var settings = JsonDocument.Parse(File.ReadAllBytes(_folder.File("out.json"))).RootElement.GetProperty("provenance").GetProperty("settings");
        Assert.Equal(("yes", "none"), (settings.GetProperty("bert-idf").GetString(), settings.GetProperty("bert-baseline").GetString()));
        Assert.StartsWith("1 of ", settings.GetProperty("bert-layer").GetString(), StringComparison.Ordinal);
    }

    /// <summary>Settings of each scorer that ran, and of no other.</summary>
    [Theory]
    [InlineData("--clef|--bert|{e}|--bert-layer|1", "bert {e}; bert-layer 1 of 3; clef-bert-idf yes; clef-bert-baseline none")]
    [InlineData("--clef|--metrics|rouge|--bert|{e}|--bert-layer|1",
        "bert {e}; bert-layer 1 of 3; bert-idf no; bert-baseline none; clef-bert-idf yes; clef-bert-baseline none")]
    [InlineData("--clef|--metrics|rouge|--bert|{e}|--bert-layer|1|--bert-idf|--bert-baseline|{e}/baseline.tsv",
        "bert {e}; bert-layer 1 of 3; bert-idf yes; bert-baseline {e}/baseline.tsv; clef-bert-idf yes; clef-bert-baseline none")]
    [InlineData("--bert|{e}|--bert-layer|1", "bert {e}; bert-layer 1 of 3; bert-idf no; bert-baseline none")]
    [InlineData("--wordnet|{w}|--metrics|rouge", "")]
    [InlineData("--wordnet|{w}|--clef", "")]
    [InlineData("--wordnet|{w}|--metrics|rouge,METEOR", "wordnet {w}")]
    public async Task Writes_down_the_settings_of_what_it_scored(string options, string settings)
    {
        Write("r.csv", References);
        foreach (var part in (string[])["noun", "verb", "adj", "adv"])
            foreach (var name in (string[])[$"index.{part}", $"data.{part}", $"{part}.exc"])
                Write($"wordnet/{name}", "");
        string Filled(string text) => text
            .Replace("{e}", Path.Combine(TestFolders.Repository, "tests", "goldens", "components", "encoders", "bert"), StringComparison.Ordinal)
            .Replace("{w}", _folder.File("wordnet"), StringComparison.Ordinal);

        var run = await ConsoleRun.Of(
            ["evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("r.csv"), "--json", _folder.File("out.json"), .. options.Split('|').Select(Filled)]);

        Assert.Equal(0, run.ExitCode);
        var written = JsonDocument.Parse(File.ReadAllBytes(_folder.File("out.json"))).RootElement.GetProperty("provenance").GetProperty("settings");
        Assert.Equal(Filled(settings), string.Join("; ", written.EnumerateObject().Select(setting => $"{setting.Name} {setting.Value}")));
    }

    [Fact]
    public async Task Nothing_in_an_id_or_a_file_can_steer_the_terminal()
    {
        Write("r.jsonl", """{"id":"\u001b[2Ja\u0007","caption":"x"}""");
        Write("empty.jsonl", """{"id":"\u001b[2Ja\u0007","caption":""}""");
        Write("other.jsonl", """{"id":"\u001b[2Jb","caption":"x"}""");
        Write("header.csv", "ID,Caption,\u001b[2J\n\u001b[2Ja\u0007,x,\n");
        async Task<string> Errors(string candidates) =>
            (await ConsoleRun.Of("evaluate", "-r", _folder.File("r.jsonl"), "-c", _folder.File(candidates), "--metrics", "rouge", "--clef")).Error;

        string[] errors = [await Errors("empty.jsonl"), await Errors("other.jsonl"), await Errors("header.csv")];

        Assert.Contains("1 empty captions, which are scored: \"\uFFFD[2Ja\uFFFD\".", errors[0], StringComparison.Ordinal);
        Assert.Contains("1 image without a candidate: \"\uFFFD[2Ja\uFFFD\".", errors[1], StringComparison.Ordinal);
        Assert.Contains("the first line is \"ID,Caption,\uFFFD[2J\"", errors[2], StringComparison.Ordinal);
        Assert.All(errors, error => Assert.DoesNotContain(error.ReplaceLineEndings(""), char.IsControl));
    }

    [Theory]
    [InlineData("evaluate|-r|{r}", "'--candidates' is required")]
    [InlineData("evaluate|-r|{r}|-c|{none}", "cannot be read")]
    [InlineData("evaluate|-r|{r}|-c|{other}", "1 image without a candidate: \"d\".")]
    [InlineData("evaluate|-r|{r}|-c|{r}|-c|{r}|-c|{r}", "--candidates names 3 files: give one, or two to compare.")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--metrics|rouge,bleurt", "--metrics bleurt: there are bleu, sacrebleu, rouge, rouge-stem, rouge-coco, meteor, cider; --bert and --clef add theirs.")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--bert-idf", "--bert-layer, --bert-idf and --bert-baseline go with --bert")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--bert|no-such-org/no-such-model", "Model \"no-such-org/no-such-model\" was not found.")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--bert|no-such-org/no-such-model|--bert-baseline|{none}", "none: there is no such file.")]   // said before the encoder is looked for
    [InlineData("evaluate|-r|{r}|-c|{r}|--bert|no-such-org/no-such-model", "  1. the folder ")]   // on a line of its own
    [InlineData("evaluate|-r|{r}|-c|{r}|--clef|--bert|no-such-org/no-such-model|--bert-idf", "--bert-idf and --bert-baseline: --clef alone scores ImageCLEF's BERTScore")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--clef|--bert|no-such-org/no-such-model|--bert-baseline|{r}", "Name --metrics too for BERTScore as you set it.")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--wordnet|{folder}", "index.noun")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--images|{none}", "--images")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--json|{folder}", "is a folder: name a file.")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--html|/no/such/folder/x.html", "there is no such folder.")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--resamples|10", "--resamples 10: an interval needs at least 100.")]
    [InlineData("evaluate|-r|{r}|-c|{r}|--seed|x", "--seed")]
    public async Task Says_what_is_wrong(string commandLine, string message)
    {
        Write("r.csv", References);
        Write("other.csv", References.Replace("d,", "a2,", StringComparison.Ordinal));
        string[] args =
        [
            .. commandLine.Split('|').Select(part => part.Replace("{r}", _folder.File("r.csv"), StringComparison.Ordinal)
                .Replace("{other}", _folder.File("other.csv"), StringComparison.Ordinal).Replace("{none}", _folder.File("none"), StringComparison.Ordinal)
                .Replace("{folder}", _folder.Path, StringComparison.Ordinal)),
        ];

        var run = await ConsoleRun.Of(args);

        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.Equal(2, run.ExitCode);
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain('\uFFFD', run.Error);
    }

    [Fact]
    public async Task Leaves_the_old_report_where_the_new_one_fails()
    {
        Write("r.csv", References);
        Write("report.json", "old");

        await ConsoleRun.Of("evaluate", "-r", _folder.File("r.csv"), "-c", _folder.File("none.csv"), "--json", _folder.File("report.json"));

        Assert.Equal("old", File.ReadAllText(_folder.File("report.json")));
    }
}
