using System.CommandLine;
using MedVlm.ConsoleSample.Output;

namespace MedVlm.ConsoleSample;

/// <summary>caption: image files and folders to a table, and to a JSONL or CSV file.</summary>
internal static class CaptionCommand
{
    public static Command Create(Terminal terminal)
    {
        var paths = new Argument<string[]>("paths")
        {
            HelpName = "files or folders", Arity = ArgumentArity.OneOrMore, Description = "Image files, and folders with images in them and below.",
        };
        var model = new ModelArguments();
        var prompt = new Option<string?>("--prompt", "-p") { HelpName = "TEXT", Description = "What the model is asked. Default: the checkpoint's own prompt." };
        var maxNewTokens = new Option<int>("--max-new-tokens") { HelpName = "N", Description = "Tokens of a caption at most. Default: 128." };
        var longestEdge = new Option<int>("--longest-edge")
        {
            HelpName = "PIXELS", Description = "Longer side that an image is brought to before it is cut into tiles: less is faster. Default: the checkpoint's.",
        };
        var noSplit = new Option<bool>("--no-split") { Description = "See an image as one tile only: fastest, least detail." };
        var output = new Option<string?>("--output", "-o")
        {
            HelpName = "FILE",
            Description = "Write the results to FILE too, in the format that its ending says: .jsonl or .csv. They are written as they "
                + "finish, each line at once, in no fixed order. A file that is there is replaced.",
        };

        var command = new Command("caption", "Caption image files and folders.") { paths };
        model.AddTo(command);
        foreach (var option in (Option[])[prompt, maxNewTokens, longestEdge, noSplit, output])
            command.Add(option);

        command.SetAction((parsed, cancellationToken) =>
        {
            var options = model.Read(parsed);
            options.DefaultCaption = options.DefaultCaption with
            {
                Prompt = parsed.GetValue(prompt),
                MaxNewTokens = parsed.GetNumber(maxNewTokens) ?? options.DefaultCaption.MaxNewTokens,
                ImageDetail = new ImageDetail { LongestEdge = parsed.GetNumber(longestEdge), SplitIntoTiles = parsed.GetValue(noSplit) ? false : null },
            };
            return CaptionAsync(terminal, parsed.GetRequiredValue(paths), options, parsed.GetValue(output), cancellationToken);
        });
        return command;
    }

    /// <summary>What happens without arguments.</summary>
    public static Task<int> CaptionSampleImagesAsync(Terminal terminal, CancellationToken cancellationToken) =>
        CaptionAsync(terminal, [ConsoleApp.SampleImages], new MedicalCaptionerOptions().UseTinyModel(), output: null, cancellationToken);

    static async Task<int> CaptionAsync(
        Terminal terminal, IReadOnlyList<string> paths, MedicalCaptionerOptions options, string? output, CancellationToken cancellationToken)
    {
        // Everything that can be wrong with the command line is found before the model is loaded, and nothing is replaced before it is.
        ResultFile.Check(output);
        var requests = Inputs.Find(paths);

        await using var captioner = await terminal.ShowLoadingAsync(() => MedicalCaptioner.LoadAsync(options, terminal.Warnings, cancellationToken));
        await using var file = ResultFile.Create(output);
        var table = new ResultsTable(requests);
        bool completed = await terminal.ShowProgressAsync("Captioning", requests.Count, async progress =>
        {
            await foreach (var result in captioner.CaptionBatchAsync(requests, cancellationToken))
            {
                await file.WriteAsync(ResultRow.Of(result));
                table.Add(result);
                progress.Advance(1, failed: !result.Succeeded);
            }
        });

        terminal.Out.Write(table);
        table.WriteSummary(terminal, captioner.GetService<CaptionerMetadata>(), output);
        return !completed ? ExitCode.Interrupted : table.Failed > 0 ? ExitCode.SomeFailed : ExitCode.Success;
    }
}
