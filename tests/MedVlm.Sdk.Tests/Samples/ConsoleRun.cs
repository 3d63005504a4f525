using System.Diagnostics;
using MedVlm.ConsoleSample;

namespace MedVlm.Tests.Samples;

/// <summary>A run of the console sample, in this process unless it says otherwise: what it wrote, and its exit code.</summary>
internal sealed record ConsoleRun(int ExitCode, string Out, string Error)
{
    public static async Task<ConsoleRun> Of(params string[] args)
    {
        using StringWriter output = new(), error = new();
        var console = Terminal.Create(output);
        console.Profile.Width = 400;   // each row of a table on one line
        int exitCode = await ConsoleApp.RunAsync(args, new Terminal(console, error), TestContext.Current.CancellationToken);
        return new ConsoleRun(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>The same in a process of its own, with environment variables.</summary>
    public static async Task<ConsoleRun> Of(IReadOnlyDictionary<string, string> variables, params string[] args)
    {
        var start = new ProcessStartInfo(
            Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet",
            [typeof(ConsoleApp).Assembly.Location, .. args]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in variables)
            start.Environment[name] = value;

        using var process = Process.Start(start)!;
        var reading = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var error = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new ConsoleRun(process.ExitCode, await reading, error);
    }

    /// <summary>The line of the table that begins with these words.</summary>
    public string Row(string start) => Assert.Single(Out.Split('\n'), line => line.TrimStart().StartsWith(start, StringComparison.Ordinal));
}
