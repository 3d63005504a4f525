using System.CommandLine;
using Microsoft.Extensions.Options;

namespace MedVlm.ConsoleSample;

/// <summary>The command line: reads the arguments, runs a command, turns what went wrong into a message and an exit code.</summary>
internal static class ConsoleApp
{
    /// <summary>The bundled images, beside the application.</summary>
    public static string SampleImages { get; } = Path.Combine(AppContext.BaseDirectory, "sample-images");

    /// <summary>How long a stop may take before the process ends all the same: one step of a large model on a slow machine.</summary>
    static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(15);

    public static async Task<int> RunAsync(string[] args, Terminal terminal, CancellationToken cancellationToken = default)
    {
        var output = terminal.Out.Profile.Out.Writer;
        var parsed = Root(terminal).Parse(args);
        if (parsed.Errors.Count > 0)
            return Complain(terminal, $"{string.Join(" ", parsed.Errors.Select(error => error.Message))} See --help.");

        try
        {
            return await parsed.InvokeAsync(
                new InvocationConfiguration
                {
                    Output = output, Error = terminal.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = s_stopTimeout,
                },
                cancellationToken);
        }
        catch (Exception e) when (e is UsageException or MedVlmException or IOException or UnauthorizedAccessException)
        {
            return Complain(terminal, e.Message);
        }
        catch (ArgumentException e)
        {
            // An argument that is empty, or no path: found only where it is used.
            return Complain(terminal, $"{e.Message.Split(" (Parameter")[0]} See --help.");
        }
        catch (OptionsValidationException e)
        {
            return Complain(terminal, string.Join(" ", e.Failures));
        }
        catch (OperationCanceledException)
        {
            terminal.WriteError("Stopped.");
            return ExitCode.Interrupted;
        }
    }

    static RootCommand Root(Terminal terminal)
    {
        var root = new RootCommand(
            "Captions radiology images on this machine. Without a command it captions the bundled sample images with the TinyModel.\n\n"
            + "Exit codes: 0 all done, 1 some images failed, cases disagree, a submission is not valid or nothing fits (plan), 2 wrong usage, model or files, 130 stopped by Ctrl+C.")
        {
            CaptionCommand.Create(terminal),
            BatchCommand.Create(terminal),
            MergeCommand.Create(terminal),
            VerifyCommand.Create(terminal),
            EvaluateCommand.Create(terminal),
            RateCommand.Create(terminal),
            RatersCommand.Create(terminal),
            CalibrateCommand.Create(terminal),
            CacheCommand.Create(terminal),
            PlanCommand.Create(terminal),
            DoctorCommand.Create(terminal),
        };
        root.SetAction((_, cancellationToken) => CaptionCommand.CaptionSampleImagesAsync(terminal, cancellationToken));
        return root;
    }

    static int Complain(Terminal terminal, string message)
    {
        foreach (var line in message.AsSpan().EnumerateLines())   // some messages have several
            terminal.WriteError(line.ToString());
        return ExitCode.CannotRun;
    }
}
