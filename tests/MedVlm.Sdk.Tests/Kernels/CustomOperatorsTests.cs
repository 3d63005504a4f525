using System.Diagnostics;
using MedVlm.ConsoleSample;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Kernels;

/// <summary>The first session of a process that knows our operators enters them into a list of the whole process.</summary>
public sealed class CustomOperatorsTests
{
    /// <summary>A quantised model makes its two sessions at the same time: in a process of its own, they are the first.</summary>
    [Fact]
    public async Task The_first_two_sessions_may_be_made_at_the_same_time()
    {
        Processor.Needed();
        using var folder = new TemporaryFolder();
        for (int i = 0; i < 3; i++)
        {
            using var process = Process.Start(new ProcessStartInfo(
                Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet",
                [typeof(ConsoleApp).Assembly.Location, "caption", Path.Combine(TestFolders.Phantoms, "06-hand-xray.tiff"), "--precision", "int8"])
            {
                RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["MEDVLM_CACHE"] = folder.Path },
            })!;
            var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            var error = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.True(process.ExitCode == 0, $"{await output}{error}");
        }
    }
}
