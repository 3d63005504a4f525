using System.CommandLine;
using MedVlm.ConsoleSample.Evaluation;
using MedVlm.Evaluation;
using MedVlm.Evaluation.Ratings;

namespace MedVlm.ConsoleSample;

/// <summary>rate: a page on which people rate a sample of the captions.</summary>
internal static class RateCommand
{
    public static Command Create(Terminal terminal)
    {
        var references = new Option<string>("--references", "-r") { HelpName = "FILE", Required = true, Description = "Captions by people, as for evaluate. Raters see them on demand." };
        var candidates = new Option<string>("--candidates", "-c") { HelpName = "FILE", Required = true, Description = "The captions to rate, as for evaluate." };
        var images = new Option<string?>("--images", "-i") { HelpName = "FOLDER", Description = "The images. They become part of the page." };
        var output = new Option<string>("--output", "-o") { HelpName = "FILE", Required = true, Description = "Where the page goes. A file that is there is replaced." };
        var size = new Option<int>("--size", "-n") { HelpName = "N", Description = "Captions to draw. Default: 500." };
        var seed = new Option<long>("--seed") { HelpName = "N", Description = "Seed of the draw. Default: 0." };
        var label = new Option<string?>("--label")
        {
            HelpName = "COLUMN",
            Description = "Draw in proportion to the values of this column of --labels, such as the modality. Default: in proportion to length of the references and ROUGE-L.",
        };
        var labels = new Option<string?>("--labels") { HelpName = "FILE", Description = "CSV or JSON lines with an id and the column of --label. Default: the references." };
        var title = new Option<string>("--title") { HelpName = "TEXT", Description = "Title of the page; it should not give the model away.", DefaultValueFactory = _ => "Captions of medical images" };

        var command = new Command("rate", "Make a page on which people rate a sample of the captions, offline.") { references, candidates, images, output, size, seed, label, labels, title };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            int count = parsed.GetNumber(size) ?? 500;
            if (count < 1)
                throw new UsageException($"--size {count}: a sheet has at least one caption.");
            if (parsed.GetValue(labels) is not null && parsed.GetValue(label) is null)
                throw new UsageException("--labels goes with --label, which names the column.");
            var path = parsed.GetRequiredValue(output);
            OutputPath.Check("--output", path);

            var pairs = CaptionFile.ReadPairs(parsed.GetRequiredValue(references), parsed.GetRequiredValue(candidates), cancellationToken).Pairs;
            var folder = parsed.GetValue(images) is { } scans ? EvaluateCommand.OpenImages(scans) : null;
            var strata = parsed.GetValue(label) is { } column
                ? LabelsOf(terminal, pairs, parsed.GetValue(labels) ?? parsed.GetRequiredValue(references), column)
                : Strata.ByLengthAndScore(pairs, (await new Rouge().ScoreAsync(pairs, cancellationToken)).Single(scores => scores.Name == "ROUGE-L").PerPair);

            var sheet = RatingSheet.Sample(parsed.GetRequiredValue(title), pairs, strata, count, parsed.GetValue(seed));
            int shown = 0;
            await OutputPath.WriteAsync("--output", path, async stream => shown = await sheet.WriteHtmlAsync(stream, folder, cancellationToken));

            terminal.WriteLine($"Sheet {sheet.Id}: {sheet.Items.Count} of {pairs.Count} captions from {sheet.Items.Select(item => item.Stratum).Distinct().Count()} strata, {shown} with their image.");
            terminal.WriteLine($"Written to {path}. Open it in a browser; each rater sends back the file that \"Save answers\" gives.");
            return shown < sheet.Items.Count && folder is not null ? ExitCode.SomeFailed : ExitCode.Success;
        });
        return command;
    }

    /// <summary>Each caption's label; those without one are a stratum by themselves, and are counted on the screen.</summary>
    /// <exception cref="EvaluationDataException">No image of the captions is in the file.</exception>
    static string[] LabelsOf(Terminal terminal, IReadOnlyList<CaptionPair> pairs, string path, string column)
    {
        var labels = LabelFile.Read(path, column);
        if (!pairs.Any(pair => labels.ContainsKey(pair.Id)))
            throw new EvaluationDataException($"{path} has none of the captions' ids (the first is \"{pairs[0].Id}\"). Give a file of the same images.");

        string[] strata = [.. pairs.Select(pair => labels.GetValueOrDefault(pair.Id, ""))];
        int bare = strata.Count(string.IsNullOrWhiteSpace);
        if (bare > 0)
            terminal.WriteError($"{path}: {bare} of {pairs.Count} captions have no {column}, and are a stratum by themselves.");
        return strata;
    }
}
