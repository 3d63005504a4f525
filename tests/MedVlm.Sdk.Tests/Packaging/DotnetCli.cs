using System.Diagnostics;

namespace MedVlm.Tests.Packaging;

/// <summary>Runs <c>dotnet</c> as a user's shell would, whatever runs this test.</summary>
internal static class DotnetCli
{
    // Set by the test run for its own processes: they would steer another build to this one's SDK folders and hosts.
    static readonly string[] s_notInherited = ["MSBUILD", "VSTEST", "TESTINGPLATFORM", "DOTNET_HOST_PATH", "DOTNET_CLI_CONTEXT", "DOTNET_ROOT_"];

    public static async Task<CliResult> RunAsync(string folder, CancellationToken cancellationToken, params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", arguments)
        {
            WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        foreach (var name in start.Environment.Keys.ToArray())
            if (s_notInherited.Any(prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase)))
                start.Environment.Remove(name);

        // It would override a project's own packages folder.
        if (folder != TestFolders.Repository)
            start.Environment.Remove("NUGET_PACKAGES");

        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0";
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        start.Environment["DOTNET_NOLOGO"] = "1";

        using var process = Process.Start(start)!;
        try
        {
            var (output, error) = (process.StandardOutput.ReadToEndAsync(cancellationToken), process.StandardError.ReadToEndAsync(cancellationToken));
            await process.WaitForExitAsync(cancellationToken);
            return new CliResult(string.Join(' ', arguments), process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }
}

/// <summary>What a command said, and how it ended.</summary>
internal sealed record CliResult(string Command, int ExitCode, string Output, string Error)
{
    public CliResult Succeeded()
    {
        Assert.True(ExitCode == 0, $"dotnet {Command} ended with {ExitCode}:\n{Output}\n{Error}");
        return this;
    }
}
