using System.Diagnostics;
using MedVlm.HostedServiceSample;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Samples;

/// <summary>Wrong settings of the hosted service sample end it with a line for each fault and code 2, in a process of its own.</summary>
public sealed class HostedServiceSettingsTests
{
    [Theory]
    [InlineData("--Inbox:PollInterval=abc", "Failed to convert configuration value 'abc' at 'Inbox:PollInterval' to type 'System.TimeSpan'.")]
    [InlineData("--MedVlm:Slots=many", "Failed to convert configuration value 'many' at 'MedVlm:Slots' to type 'System.Int32'.")]
    [InlineData("--Telemetry:Console=yes", "Failed to convert configuration value 'yes' at 'Telemetry:Console' to type 'System.Boolean'.")]
    [InlineData("--Telemetry:Console=true --Telemetry:Interval=-00:00:01", "Telemetry:Interval is -00:00:01: give 1 ms to 24 days.")]
    [InlineData(
        "--Inbox:MaxAttempts=0 --MedVlm:Slots=-1",
        "MaxAttempts: The field InboxOptions.MaxAttempts must be between 1 and 1000.|Slots: The field MedicalCaptionerOptions.Slots must be between 1 and 256.")]
    public async Task Are_told_in_a_line_each(string arguments, string lines)
    {
        using var folder = new TemporaryFolder();
        var start = new ProcessStartInfo("dotnet", [typeof(InboxWorker).Assembly.Location, .. arguments.Split(' ')])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder.Path,
        };

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Equal((2, ""), (process.ExitCode, output));
        Assert.Equal(lines.Split('|'), (await error).TrimEnd().ReplaceLineEndings("\n").Split('\n').Order(StringComparer.Ordinal));
    }
}
