using System.CommandLine;
using MedVlm.ConsoleSample.Evaluation;
using MedVlm.Evaluation;
using MedVlm.Evaluation.Reports;
using MedVlm.Evaluation.Statistics;

namespace MedVlm.ConsoleSample;

/// <summary>evaluate: captions against references, to a table with intervals, a JSON file and a page.</summary>
internal static class EvaluateCommand
{
    public static Command Create(Terminal terminal)
    {
        var references = new Option<string>("--references", "-r")
        {
            HelpName = "FILE", Required = true, Description = "Captions by people: CSV with the columns ID and Caption, or JSON lines with id and caption, or captions for several.",
        };
        var candidates = new Option<string[]>("--candidates", "-c")
        {
            HelpName = "FILE", Required = true, Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = true,
            Description = "A model's captions of the same images. Given twice, the second is compared with the first.",
        };
        var metrics = new MetricArguments();
        var images = new Option<string?>("--images", "-i") { HelpName = "FOLDER", Description = "The images, for the page's worst and best pairs." };
        var json = new Option<string?>("--json") { HelpName = "FILE", Description = "Write all scores to FILE. A file that is there is replaced." };
        var html = new Option<string?>("--html") { HelpName = "FILE", Description = "Write a page with plots to FILE; it is whole in itself. It shows captions, and images where they are given." };
        var resamples = new Option<int>("--resamples") { HelpName = "N", Description = "Bootstrap samples, at least 100. Default: 1000." };
        var seed = new Option<long>("--seed") { HelpName = "N", Description = "Seed of the bootstrap. Default: 0." };

        var command = new Command("evaluate", "Score captions against references.") { references, candidates, images, json, html, resamples, seed };
        metrics.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var files = new Files(
                parsed.GetRequiredValue(references), parsed.GetRequiredValue(candidates), parsed.GetValue(images), parsed.GetValue(json), parsed.GetValue(html));
            var bootstrap = new BootstrapOptions { Resamples = parsed.GetNumber(resamples) ?? 1000, Seed = parsed.GetValue(seed) };
            if (bootstrap.Resamples < 100)
                throw new UsageException($"--resamples {bootstrap.Resamples}: an interval needs at least 100.");
            OutputPath.Check("--json", files.Json);
            OutputPath.Check("--html", files.Html);
            var sets = ReadSets(terminal, files, cancellationToken);
            var folder = files.Images is null ? null : OpenImages(files.Images);

            bool valid = !metrics.IsClef(parsed) || CheckSubmissions(terminal, files, sets[0], cancellationToken);
            await using var choice = await metrics.LoadAsync(parsed, cancellationToken);
            var report = await ScoreAsync(terminal, files, sets, choice, bootstrap, cancellationToken);
            ScoreTable.Write(terminal, report);

            if (files.Json is not null)
                await OutputPath.WriteAsync("--json", files.Json, stream => report.WriteJsonAsync(stream, cancellationToken));
            if (files.Html is not null)
                await OutputPath.WriteAsync("--html", files.Html, stream => report.WriteHtmlAsync(stream, folder, cancellationToken));
            foreach (var written in new[] { files.Json, files.Html }.OfType<string>())
                terminal.WriteLine($"Written to {written}.");
            return valid ? ExitCode.Success : ExitCode.SomeFailed;
        });
        return command;
    }

    /// <summary>What is read and written.</summary>
    sealed record Files(string References, string[] Candidates, string? Images, string? Json, string? Html);

    static CandidateSet[] ReadSets(Terminal terminal, Files files, CancellationToken cancellationToken)
    {
        if (files.Candidates.Length > 2)
            throw new UsageException($"--candidates names {files.Candidates.Length} files: give one, or two to compare.");

        // The names of the files, or their paths where the names are the same.
        bool named = files.Candidates.Select(Path.GetFileName).Distinct().Count() == files.Candidates.Length;
        return
        [
            .. files.Candidates.Select(path =>
            {
                var captions = CaptionFile.ReadPairs(files.References, path, cancellationToken);
                WarnOfEmpty(terminal, path, captions.EmptyCandidates);
                return new CandidateSet(named ? Path.GetFileName(path) : path, captions.Pairs);
            }),
        ];
    }

    static void WarnOfEmpty(Terminal terminal, string path, IReadOnlyList<string> ids)
    {
        const int Shown = 5;
        if (ids.Count > 0)
            terminal.WriteError($"{path}: {ids.Count} empty captions, which are scored: {string.Join("; ", ids.Take(Shown).Select(id => $"\"{id}\""))}"
                + (ids.Count > Shown ? $"; and {ids.Count - Shown} more." : "."));
    }

    public static ImageFolder OpenImages(string folder)
    {
        try
        {
            var images = new ImageFolder(folder);
            return images.Count > 0 ? images : throw new UsageException($"--images {folder}: there is no image in the folder.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--images {folder}: {e.Message}");
        }
    }

    static bool CheckSubmissions(Terminal terminal, Files files, CandidateSet set, CancellationToken cancellationToken)
    {
        bool valid = true;
        foreach (var path in files.Candidates)
        {
            var check = ClefSubmission.Check(path, set.Pairs.Select(pair => pair.Id), cancellationToken);
            foreach (var problem in check.Problems)
                terminal.WriteError($"{path}: {problem.Message}");
            terminal.WriteLine($"{path}: {(check.IsValid ? $"a valid submission of {check.Captions} captions" : "not a valid submission, see above")}.");
            valid &= check.IsValid;
        }
        return valid;
    }

    static async Task<EvaluationReport> ScoreAsync(
        Terminal terminal, Files files, CandidateSet[] sets, MetricChoice choice, BootstrapOptions bootstrap, CancellationToken cancellationToken)
    {
        List<ReportFile> origin = [await ReportFile.ReadAsync("references", files.References, cancellationToken)];
        foreach (var path in files.Candidates)
            origin.Add(await ReportFile.ReadAsync("candidates", path, cancellationToken));

        EvaluationReport? report = null;
        await terminal.ShowProgressAsync("Scoring", sets.Length * choice.Metrics.Count + 1, async progress =>
            report = await EvaluationReport.CreateAsync(
                sets, choice.Metrics,
                new EvaluationReportOptions { Bootstrap = bootstrap, Files = origin, Settings = choice.Settings, Progress = new Steps(progress) }, cancellationToken));
        cancellationToken.ThrowIfCancellationRequested();
        return report!;
    }

    /// <summary>Each report is of the next step: one before it is done.</summary>
    sealed class Steps(IWorkProgress progress) : IProgress<string>
    {
        bool _begun;

        public void Report(string value)
        {
            if (_begun)
                progress.Advance(1, failed: false);
            _begun = true;
        }
    }
}
