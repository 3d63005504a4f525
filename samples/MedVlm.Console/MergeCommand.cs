using System.CommandLine;

namespace MedVlm.ConsoleSample;

/// <summary>merge: the files of all shards to one, if they make a whole.</summary>
internal static class MergeCommand
{
    public static Command Create(Terminal terminal)
    {
        var shards = new Argument<string[]>("shards") { HelpName = "files", Arity = ArgumentArity.OneOrMore, Description = "The .jsonl files of all shards, in any order." };
        var output = new Option<string>("--output", "-o") { HelpName = "FILE", Required = true, Description = "All captions (.jsonl)." };
        var csv = new Option<string?>("--csv") { HelpName = "FILE", Description = "Write them in ImageCLEF's form (ID,Caption) too, when every image has one." };
        var dataset = new Option<string?>("--dataset") { HelpName = "PATH", Description = "The data set, so that ids that are missing can be named." };
        var split = new Option<string?>("--split") { HelpName = "NAME", Description = "The split of the data set that was captioned." };
        var allowMissing = new Option<bool>("--allow-missing") { Description = "Merge even if images have failed and have no caption; every shard must have run to its end." };

        var command = new Command("merge", "Put the results of all shards together, if they are complete and of one kind.") { shards };
        foreach (var option in (Option[])[output, csv, dataset, split, allowMissing])
            command.Add(option);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new CaptionMergeOptions
            {
                Output = parsed.GetRequiredValue(output),
                Csv = parsed.GetValue(csv),
                Dataset = parsed.GetValue(dataset) is { } path ? CaptionDataset.Open(path, parsed.GetValue(split)) : null,
                AllowMissing = parsed.GetValue(allowMissing),
            };
            var report = await CaptionJob.MergeAsync(parsed.GetRequiredValue(shards), options, cancellationToken);
            JobReportText.Write(terminal, report, options.Csv, retryHint: null);
            return report.Failed > 0 ? ExitCode.SomeFailed : ExitCode.Success;
        });
        return command;
    }
}
