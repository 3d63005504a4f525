using MedVlm.Checkpoints.Quantised;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Samples;

/// <summary>The cache commands, in a process of their own: they take the folder from its environment.</summary>
public sealed class ConsoleCacheTests
{
    [Fact]
    public async Task Lists_and_clears_what_a_load_has_left()
    {
        using var folder = new TemporaryFolder();
        var cache = folder.File("cache");
        Assert.Contains($"0 models, 0 MiB in {cache}", await RunAsync(cache, "cache", "list"), StringComparison.Ordinal);

        await RunAsync(cache, "caption", Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg"), "--precision", "Int4");

        Assert.Contains("1 models, ", await RunAsync(cache, "cache", "list"), StringComparison.Ordinal);
        var list = await RunAsync(cache, "cache", "list");
        Assert.Contains("Int4", list, StringComparison.Ordinal);
        Assert.Contains($"{DateTime.UtcNow.Year}-", list, StringComparison.Ordinal);
        Assert.Contains($" MiB freed in {cache}", await RunAsync(cache, "cache", "clear"), StringComparison.Ordinal);
        Assert.Empty(new QuantisedCache(cache).Files());
    }

    [Fact]
    public async Task A_calibration_is_made_listed_used_and_cleared()
    {
        using var folder = new TemporaryFolder();
        var (cache, images) = (folder.File("cache"), folder.File("images"));
        foreach (var image in (string[])["01-chest-xray-clear.jpg", "07-head-ct.png"])
            folder.Write(Path.Combine("images", image), File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, image)));

        var report = await RunAsync(cache, "calibrate", "--images", images);

        Assert.Contains("Running the model in FP32 on 2 images", report, StringComparison.Ordinal);
        Assert.Contains(" of 50 groups of layers are smoothed in INT8, ", report, StringComparison.Ordinal);
        Assert.Contains("lm_head", report, StringComparison.Ordinal);
        Assert.Contains("Calibrated model", await RunAsync(cache, "cache", "list"), StringComparison.Ordinal);
        Assert.DoesNotContain("no model", await RunAsync(cache, "doctor"), StringComparison.Ordinal);

        // Not one that is damaged.
        var file = Assert.Single(new QuantisedCache(cache).Files(), file => file.Name.Contains("calibration", StringComparison.Ordinal)).FullName;
        var bytes = await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(file, bytes, TestContext.Current.CancellationToken);
        Assert.DoesNotContain("Calibrated model", await RunAsync(cache, "cache", "list"), StringComparison.Ordinal);
        await RunAsync(cache, "cache", "clear");
        Assert.Empty(new QuantisedCache(cache).Files());
    }

    [Fact]
    public async Task A_calibration_names_the_image_that_is_damaged()
    {
        using var folder = new TemporaryFolder();
        foreach (var image in (string[])["a.jpg", "c.jpg", "d.jpg"])
            folder.Write(Path.Combine("images", image), File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg")));
        folder.Write(Path.Combine("images", "b.jpg"), "not an image"u8.ToArray());

        var (exitCode, _, error) = await RunToEndAsync(folder.File("cache"), "calibrate", "--images", folder.File("images"));

        Assert.NotEqual(0, exitCode);
        Assert.Contains("b.jpg: ", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cache_that_is_no_folder_is_told_by_all()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("cache", "mine"u8.ToArray());
        foreach (var command in (string[])["list", "clear"])
        {
            var (exitCode, _, error) = await RunToEndAsync(file, "cache", command);
            Assert.NotEqual(0, exitCode);
            Assert.Contains("is a file: name a folder by the environment variable MEDVLM_CACHE.", error, StringComparison.Ordinal);
        }
        Assert.Contains("Problem: New quantised weights cannot be kept", await RunAsync(file, "doctor"), StringComparison.Ordinal);

        var caption = await RunToEndAsync(file, "caption", Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg"), "--precision", "Int4");
        Assert.Equal(0, caption.ExitCode);
        Assert.Contains("Warning: The quantised weights were made in memory", caption.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_calibration_on_one_image_is_refused_before_the_model_is_run()
    {
        var image = Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg");

        var run = await ConsoleRun.Of("calibrate", TestFolders.TinyModel, "--images", image);

        Assert.Equal((2, "", $"There is one image in \"{image}\": a calibration needs two at least, and a few dozen to be of use."), (run.ExitCode, run.Out, run.Error.TrimEnd()));
        await Assert.ThrowsAsync<ArgumentException>(
            () => MedicalCaptioner.CalibrateAsync(new() { Model = "no/such-model" }, [MedicalImage.FromFile(image)], null, TestContext.Current.CancellationToken));
    }

    static async Task<string> RunAsync(string cache, params string[] arguments)
    {
        var (exitCode, output, error) = await RunToEndAsync(cache, arguments);
        Assert.True(exitCode == 0, error);
        return output.ReplaceLineEndings("").Replace("  ", " ", StringComparison.Ordinal);
    }

    static async Task<(int ExitCode, string Output, string Error)> RunToEndAsync(string cache, params string[] arguments)
    {
        var start = new System.Diagnostics.ProcessStartInfo("dotnet", [typeof(MedVlm.ConsoleSample.Terminal).Assembly.Location, .. arguments])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
            Environment = { ["MEDVLM_CACHE"] = cache, ["COLUMNS"] = "400", ["LC_ALL"] = "th_TH.UTF-8" },   // where years are another calendar's
        };
        using var process = System.Diagnostics.Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, output, await error);
    }
}
