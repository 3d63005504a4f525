using System.CommandLine;
using MedVlm.ConsoleSample.Verification;

namespace MedVlm.ConsoleSample;

/// <summary>verify: does this machine, with its processor and drivers, write what the Python reference writes?</summary>
internal static class VerifyCommand
{
    public static Command Create(Terminal terminal)
    {
        var folder = new Argument<string>("folder")
        {
            HelpName = "folder",
            Description = "Goldens (a folder for each family, with cases.json and checkpoint/), one such family, or a folder with references.json and its images.",
        };
        var model = new ModelArguments();
        var command = new Command("verify", "Compare this machine's captions with the reference's, token for token.") { folder };
        model.AddTo(command);
        command.SetAction((parsed, cancellationToken) =>
        {
            var sets = ReferenceFolder.Read(parsed.GetRequiredValue(folder));
            if (model.Model(parsed) is not null && sets.Any(set => set.Checkpoint is not null))
                throw new UsageException("--model goes with a folder that has references.json: these cases bring their own checkpoints.");
            return VerifyAsync(terminal, sets, model.Read(parsed), cancellationToken);
        });
        return command;
    }

    static async Task<int> VerifyAsync(
        Terminal terminal, IReadOnlyList<ReferenceSet> sets, MedicalCaptionerOptions options, CancellationToken cancellationToken)
    {
        var table = new AgreementTable();
        bool completed = await terminal.ShowProgressAsync("Verifying", sets.Sum(set => set.Cases.Count), async progress =>
        {
            foreach (var set in sets)
                await VerifyAsync(terminal, set, options, table, progress, cancellationToken);
        });

        terminal.Out.Write(table);
        table.WriteSummary(terminal);
        return !completed ? ExitCode.Interrupted : table.Disagreeing > 0 ? ExitCode.SomeFailed : ExitCode.Success;
    }

    static async Task VerifyAsync(
        Terminal terminal, ReferenceSet set, MedicalCaptionerOptions options, AgreementTable table, IWorkProgress progress,
        CancellationToken cancellationToken)
    {
        if (set.Checkpoint is { } checkpoint)
        {
            (options.Model, options.Tokenizer) = (checkpoint, set.Tokenizer);
            if (!File.Exists(Path.Combine(checkpoint, "config.json")))
            {
                table.AddNoCheckpoint(set);
                progress.Advance(set.Cases.Count, failed: false);
                return;
            }
        }

        MedicalCaptioner captioner;
        try
        {
            captioner = await MedicalCaptioner.LoadAsync(options, terminal.Warnings, cancellationToken);
        }
        catch (UnsupportedModelException) when (set.Checkpoint is not null)
        {
            table.AddNotSupported(set);
            progress.Advance(set.Cases.Count, failed: false);
            return;
        }
        catch (MedVlmException e) when (set.Checkpoint is not null)
        {
            // The other families can still be verified.
            table.AddNotLoaded(set, e.Message);
            progress.Advance(set.Cases.Count, failed: true);
            return;
        }

        await using (captioner)
        {
            var cases = set.Cases.ToDictionary(one => one.Name);
            foreach (var one in set.Cases.Where(one => one.NotExpressible is not null))
            {
                table.AddSkipped(set, one);
                progress.Advance(1, failed: false);
            }

            var requests = set.Cases.Where(one => one.NotExpressible is null).Select(one => one.ToRequest());
            await foreach (var result in captioner.CaptionBatchAsync(requests, cancellationToken))
                progress.Advance(1, failed: !table.Add(set, cases[result.Request.Id], result));
        }
    }
}
