using System.Diagnostics;
using System.Text.Json;
using MedVlm.ConsoleSample;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Kernels;

/// <summary>Processors with fewer instructions say what this one says: .NET is told, in a process of its own, to do without some.</summary>
public sealed class OtherProcessorTests
{
    static readonly string[] s_images = ["01-chest-xray-clear.jpg", "06-hand-xray.tiff"];

    [Theory]
    [InlineData("EnableAVX512"), InlineData("EnableAVX2")]
    public async Task Captions_in_INT8_are_the_same(string without)
    {
        using var folder = new TemporaryFolder();
        foreach (var image in s_images)
            File.Copy(Path.Combine(TestFolders.Phantoms, image), folder.File(image));

        Assert.Equal(await CaptionsAsync(folder, "EnableNothing"), await CaptionsAsync(folder, without));
    }

    static async Task<string[]> CaptionsAsync(TemporaryFolder folder, string without)
    {
        using var output = new TemporaryFolder();
        var start = new ProcessStartInfo(
            Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet",
            [typeof(ConsoleApp).Assembly.Location, "caption", folder.Path, "--precision", "int8", "--output", output.File("out.jsonl")])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["DOTNET_" + without] = "0" },
        };
        using var process = Process.Start(start)!;
        var reading = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var error = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"{await reading}{error}");
        return [.. File.ReadLines(output.File("out.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!).Order(StringComparer.Ordinal)];
    }
}
