using System.CommandLine;
using MedVlm.ConsoleSample.Evaluation;
using MedVlm.Evaluation.Ratings;
using MedVlm.Evaluation.Statistics;

namespace MedVlm.ConsoleSample;

/// <summary>raters: what several raters of one sheet say together, and how far they agree.</summary>
internal static class RatersCommand
{
    public static Command Create(Terminal terminal)
    {
        var files = new Argument<string[]>("files") { HelpName = "files", Arity = ArgumentArity.OneOrMore, Description = "The files that the raters saved, one for each rater." };
        var json = new Option<string?>("--json") { HelpName = "FILE", Description = "Write the summary to FILE too. A file that is there is replaced." };
        var resamples = new Option<int>("--resamples") { HelpName = "N", Description = "Bootstrap samples, at least 100. Default: 1000." };
        var seed = new Option<long>("--seed") { HelpName = "N", Description = "Seed of the bootstrap. Default: 0." };

        var command = new Command("raters", "Summarise the ratings of one or more people: means, intervals, agreement.") { files, json, resamples, seed };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new BootstrapOptions { Resamples = parsed.GetNumber(resamples) ?? 1000, Seed = parsed.GetValue(seed) };
            if (options.Resamples < 100)
                throw new UsageException($"--resamples {options.Resamples}: an interval needs at least 100.");
            var path = parsed.GetValue(json);
            OutputPath.Check("--json", path);

            var raters = new List<RatingAnswers>();
            foreach (var file in parsed.GetRequiredValue(files))
                raters.Add(await RatingAnswers.ReadAsync(file, cancellationToken));
            var summary = RatingSummary.Of(raters, options, cancellationToken);

            RatingTables.Write(terminal, summary, options);
            if (path is not null)
            {
                await OutputPath.WriteAsync("--json", path, stream => summary.WriteJsonAsync(stream, cancellationToken));
                terminal.WriteLine($"Written to {path}.");
            }
            return ExitCode.Success;
        });
        return command;
    }
}
