using DocumentationSnippets;
using MedVlm.Tests.Checkpoints;
using Microsoft.Extensions.DependencyInjection;

namespace MedVlm.Tests.Docs;

/// <summary>Runs what the pages show. One after another and beside nothing else: they write to the console.</summary>
[Collection(nameof(ConsoleCollection))]
public sealed class SnippetTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static string Image => Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg");

    [Fact]
    public async Task Quickstart_writes_a_caption() => Assert.Matches(
        @"^Frontal chest radiograph with clear lungs\. \(confidence [01][.,]\d\d, \d+ ms\)\r?\n$", await OutputAsync(() => Quickstart.RunAsync([Image])));

    [Fact]
    public async Task Hosting_captions_a_folder()
    {
        var output = await OutputAsync(() => DocumentationSnippets.Hosting.RunAsync([TestFolders.Phantoms]));

        Assert.Contains($"{Path.GetFileName(Image)}: Frontal chest radiograph with clear lungs.", output);
        Assert.Contains("07-head-ct.png: ", output);
    }

    [Fact]
    public async Task Bert_score_prints_precision_recall_and_f1()
    {
        var checkpoint = Path.Combine(TestFolders.Repository, "tests", "goldens", "components", "encoders", "roberta");
        Evaluation.CaptionPair[] pairs = [new("1", ["Axial CT of the chest."], "Axial CT."), new("2", ["No fracture."], "No fracture.")];

        Assert.Matches(
            @"^BERTScore-IDF P: [01][.,]\d{4}\r?\nBERTScore-IDF R: [01][.,]\d{4}\r?\nBERTScore-IDF F1: [01][.,]\d{4}\r?\n$",
            await OutputAsync(() => BertScores.RunAsync(checkpoint, layer: 2, pairs)));
    }

    [Fact]
    public async Task Telemetry_goes_to_the_console_under_the_names_of_OpenTelemetry()
    {
        var output = await OutputAsync(() => DocumentationSnippets.Telemetry.RunAsync([Image]));

        Assert.All(
            (string[])["generate_content MedVlm.Sdk.TinyModel", "gen_ai.client.token.usage", "gen_ai.server.time_to_first_token", "medvlm.images"],
            name => Assert.Contains(name, output));
        Assert.DoesNotContain("radiograph", output);
    }

    [Fact]
    public async Task Image_detail_is_an_option()
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(TinyModel.Path, Token);

        Assert.NotEmpty((await ImageDetails.RunAsync(captioner, Image)).Text);
    }

    [Fact]
    public async Task A_job_captions_a_folder_into_a_file()
    {
        using var folder = new MedVlm.Tests.Checkpoints.TemporaryFolder();
        CaptionJobReport? report = null;

        await OutputAsync(async () => report = await Jobs.RunAsync([TestFolders.Phantoms, folder.File("captions.jsonl")]));

        Assert.Equal((24, 24), (report!.Total, report.Captioned));
    }

    [Fact]
    public async Task A_wrapper_answers_in_place_of_the_model()
    {
        var cache = new System.Collections.Concurrent.ConcurrentDictionary<string, Caption>();
        var services = new ServiceCollection();
        Wrappers.Add(services, cache);
        await using var provider = services.BuildServiceProvider();
        var request = new CaptionRequest(MedicalImage.FromFile(Image)) { Id = "1" };

        var captioner = provider.GetRequiredService<IMedicalCaptioner>();
        var (first, second) = (await captioner.CaptionAsync(request, Token), await captioner.CaptionAsync(request, Token));

        Assert.Same(first, second);
        Assert.Same(first, cache["1"]);
    }

    [Fact]
    public async Task Captions_are_scored_from_two_files()
    {
        using var folder = new Checkpoints.TemporaryFolder();
        var references = folder.Write("references.csv", "ID,Caption\na,CT of the chest\nb,MRI of the left knee\n");
        var candidates = folder.Write("captions.jsonl", "{\"id\":\"b\",\"caption\":\"MRI of the knee\"}\n{\"id\":\"a\",\"caption\":\"CT of the chest\"}\n");

        var lines = (await OutputAsync(() => Evaluating.RunAsync([references, candidates]))).Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Assert.Equal(9, lines.Length);
        Assert.Matches(@"^BLEU-1: 0[.,]\d{4}\r?$", lines[0]);
        Assert.Matches(@"^ROUGE-1: 0[.,]9444\r?$", lines[4]);   // the mean of 1 and 2·(1·4/5)/(1 + 4/5)
    }

    [Fact]
    public async Task A_response_is_scored_by_evaluators() =>
        Assert.Equal(1, await Evaluators.RunAsync(new(new Microsoft.Extensions.AI.ChatMessage(
            Microsoft.Extensions.AI.ChatRole.Assistant, "Chest radiograph showing bilateral pleural effusions."))));

    [Fact]
    public async Task A_report_compares_two_files_and_becomes_a_page()
    {
        using var folder = new TemporaryFolder();
        var references = folder.Write("r.csv", "ID,Caption\n01-chest-xray-clear,Frontal chest radiograph.\n07-head-ct,Axial CT of the head.\n");
        var candidates = folder.Write("c.csv", "ID,Caption\n01-chest-xray-clear,Frontal chest radiograph.\n07-head-ct,Axial CT of the chest.\n");

        var output = await OutputAsync(() => DocumentationSnippets.Reports.RunAsync(references, references, candidates, TestFolders.Phantoms, folder.File("page.html")));

        Assert.Matches(@"ROUGE-1: -0[.,]1000 \(-0[.,]2000 to 0[.,]0000\), p ", output);
        Assert.Contains("data:image/jpeg", File.ReadAllText(folder.File("page.html")), StringComparison.Ordinal);
    }

    static async Task<string> OutputAsync(Func<Task> run)
    {
        var (console, output) = (Console.Out, new StringWriter());
        Console.SetOut(output);
        try
        {
            await run();
        }
        finally
        {
            Console.SetOut(console);
        }
        return output.ToString();
    }
}

[CollectionDefinition(nameof(ConsoleCollection), DisableParallelization = true)]
public sealed class ConsoleCollection;
