using System.CommandLine;

namespace MedVlm.ConsoleSample;

/// <summary>batch: a data set to a JSONL file, over as many runs as it takes.</summary>
internal static class BatchCommand
{
    public static Command Create(Terminal terminal)
    {
        var dataset = new Argument<string>("dataset")
        {
            HelpName = "data set",
            Description = "A folder of images, of ROCOv2 (train_captions.csv and train_images) or of parquet files; a parquet file; or a list of images (.csv, .tsv, .jsonl).",
        };
        var split = new Option<string?>("--split") { HelpName = "NAME", Description = "Only this split of the data set: train, valid or test. Default: all." };
        var output = new Option<string>("--output", "-o")
        {
            HelpName = "FILE", Required = true, Description = "The captions, a line of JSON each (.jsonl). If it is there, the job goes on where it was.",
        };
        var csv = new Option<string?>("--csv") { HelpName = "FILE", Description = "Write the captions in ImageCLEF's form (ID,Caption) too, when every image has one." };
        var shard = new Option<string?>("--shard")
        {
            HelpName = "I/N", Description = "Caption only part I of N (0/8 to 7/8). \"auto\" takes it from a Slurm array, \"auto/N\" from a Kubernetes indexed job.",
        };
        var retries = new Option<int>("--retries") { HelpName = "N", Description = "Further attempts at an image that failed by no fault of its own, over all runs: 0 to 14. Default: 2." };
        var retryFailed = new Option<bool>("--retry-failed") { Description = "Try again everything that failed in earlier runs, damaged images too." };
        var prompt = new Option<string?>("--prompt", "-p") { HelpName = "TEXT", Description = "What the model is asked. Default: the checkpoint's own prompt." };
        var maxNewTokens = new Option<int>("--max-new-tokens") { HelpName = "N", Description = "Tokens of a caption at most. Default: 128." };
        var longestEdge = new Option<int>("--longest-edge") { HelpName = "PIXELS", Description = "Longer side that an image is brought to. Default: the checkpoint's." };
        var noSplit = new Option<bool>("--no-split") { Description = "See an image as one tile only: fastest, least detail." };
        var model = new ModelArguments();

        var command = new Command("batch", "Caption a data set into a file. Stop it at any time and give the same command again: it goes on where it was.") { dataset };
        foreach (var option in (Option[])[output, csv, split, shard, retries, retryFailed, prompt, maxNewTokens, longestEdge, noSplit])
            command.Add(option);
        model.AddTo(command);

        command.SetAction((parsed, cancellationToken) =>
        {
            var options = new CaptionJobOptions
            {
                Output = parsed.GetRequiredValue(output),
                Csv = parsed.GetValue(csv),
                Shard = parsed.GetValue(shard) is { } text ? ShardOf(text) : DatasetShard.Whole,
                Retry = new CaptionJobRetry { MaxAttempts = 1 + (parsed.GetNumber(retries) ?? 2), StartOver = parsed.GetValue(retryFailed) },
                Caption = new CaptionOptions
                {
                    Prompt = parsed.GetValue(prompt),
                    MaxNewTokens = parsed.GetNumber(maxNewTokens) ?? new CaptionOptions().MaxNewTokens,
                    ImageDetail = new ImageDetail { LongestEdge = parsed.GetNumber(longestEdge), SplitIntoTiles = parsed.GetValue(noSplit) ? false : null },
                },
            };
            if (options.Retry.MaxAttempts is < 1 or > 15)
                throw new UsageException("--retries is 0 to 14.");
            return RunAsync(terminal, CaptionDataset.Open(parsed.GetRequiredValue(dataset), parsed.GetValue(split)), model.Read(parsed), options, cancellationToken);
        });
        return command;
    }

    static async Task<int> RunAsync(
        Terminal terminal, CaptionDataset dataset, MedicalCaptionerOptions model, CaptionJobOptions options, CancellationToken cancellationToken)
    {
        await using var captioner = await terminal.ShowLoadingAsync(() => MedicalCaptioner.LoadAsync(model, terminal.Warnings, cancellationToken));
        var metadata = captioner.GetService<CaptionerMetadata>()!;
        var job = new CaptionJob(captioner, dataset, options);
        terminal.WriteLine($"{dataset.Description}, shard {options.Shard}: {metadata.Model} in {metadata.Precision} on {metadata.Device}.");

        CaptionJobReport report;
        try
        {
            report = await terminal.ShowJobAsync($"{metadata.Device}", progress => job.RunAsync(progress, cancellationToken));
        }
        catch (OperationCanceledException)
        {
            terminal.WriteLine($"Stopped. What was captioned is in {options.Output}; the same command goes on from there.");
            return ExitCode.Interrupted;
        }

        JobReportText.Write(terminal, report, options.Csv, "--retry-failed tries them again");
        return report.Failed > 0 ? ExitCode.SomeFailed : ExitCode.Success;
    }

    static DatasetShard ShardOf(string text)
    {
        try
        {
            return DatasetShard.Parse(text);
        }
        catch (FormatException e)
        {
            throw new UsageException($"--shard: {e.Message}");
        }
    }
}
