using System.Text.Json;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tests.Samples;

namespace MedVlm.Tests.Kernels;

/// <summary>Processors with fewer instructions say what this one says: .NET is told, in a process of its own, to do without some.</summary>
public sealed class OtherProcessorTests
{
    static readonly string[] s_images = ["01-chest-xray-clear.jpg", "06-hand-xray.tiff"];

    [Theory]
    [InlineData("EnableAVX512", "on integers in INT8 and INT4, with AVX2"), InlineData("EnableAVX2", "in FP32, for want of AVX2")]
    public async Task Captions_in_INT8_are_the_same(string without, string attention)
    {
        Processor.Needed();
        Assert.Contains(attention, await RunAsync(without, "doctor"), StringComparison.Ordinal);

        using var folder = new TemporaryFolder();
        foreach (var image in s_images)
            File.Copy(Path.Combine(TestFolders.Phantoms, image), folder.File(image));

        Assert.Equal(await CaptionsAsync(folder, "EnableNothing"), await CaptionsAsync(folder, without));
    }

    static async Task<string[]> CaptionsAsync(TemporaryFolder folder, string without)
    {
        using var output = new TemporaryFolder();
        await RunAsync(without, "caption", folder.Path, "--precision", "int8", "--output", output.File("out.jsonl"));
        return [.. File.ReadLines(output.File("out.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!).Order(StringComparer.Ordinal)];
    }

    static async Task<string> RunAsync(string without, params string[] arguments)
    {
        var run = await ConsoleRun.Of(new Dictionary<string, string> { ["DOTNET_" + without] = "0" }, arguments);
        Assert.True(run.ExitCode == 0, run.Out + run.Error);
        return run.Out;
    }
}
