using MedVlm.ConsoleSample;

namespace MedVlm.Tests.Samples;

/// <summary>A run of the console sample in this process: what it wrote, and its exit code.</summary>
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

    /// <summary>The line of the table that begins with these words.</summary>
    public string Row(string start) => Assert.Single(Out.Split('\n'), line => line.TrimStart().StartsWith(start, StringComparison.Ordinal));
}
