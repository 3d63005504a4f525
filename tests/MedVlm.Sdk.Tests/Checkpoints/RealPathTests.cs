using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

public sealed class RealPathTests
{
    /// <summary>The layout of the hub cache, reached by a link from elsewhere.</summary>
    [Fact]
    public async Task Relative_links_go_on_from_the_folder_that_they_lie_in()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need a privilege there.");
        using var folder = new TemporaryFolder();
        var blob = folder.Write("hub/blobs/0123", File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, "06-hand-xray.tiff")));
        Directory.CreateDirectory(folder.File("hub/snapshots/main/images"));
        File.CreateSymbolicLink(folder.File("hub/snapshots/main/images/a.tiff"), "../../../blobs/0123");
        Directory.CreateSymbolicLink(folder.File("data"), folder.File("hub/snapshots/main"));
        Directory.CreateSymbolicLink(folder.File("again"), "data");
        var path = folder.File("again/images/a.tiff");

        Assert.Equal(RealPath.Of(blob), RealPath.Of(path));
        Assert.True(FileNames.Exists(path));
        Assert.Equal(File.ReadAllBytes(blob).Length, JsonFile.ReadBytes(path).Length);
        var image = await MedicalImage.FromFile(path).DecodeAsync(new ImageLimits(), TestContext.Current.CancellationToken);
        Assert.True(image.Width > 0);
    }

    [Fact]
    public void A_checkpoint_in_the_hub_cache_may_be_reached_by_a_link()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need a privilege there.");
        using var folder = new TemporaryFolder();
        foreach (var file in Directory.EnumerateFiles(TestFolders.TinyModel))
        {
            var name = Path.GetFileName(file);
            folder.Write($"hub/blobs/{name}", File.ReadAllBytes(file));
            Directory.CreateDirectory(folder.File("hub/snapshots/main"));
            File.CreateSymbolicLink(folder.File($"hub/snapshots/main/{name}"), $"../../blobs/{name}");
        }
        Directory.CreateSymbolicLink(folder.File("model"), folder.File("hub/snapshots/main"));

        using var checkpoint = Checkpoint.Open(folder.File("model"));
        Assert.Equal(RealPath.Of(folder.File("hub/blobs/model.safetensors")), checkpoint.Tensors.Values.First().File.ResolvedPath);
    }

    [Fact]
    public void Links_in_a_circle_are_told()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need a privilege there.");
        using var folder = new TemporaryFolder();
        File.CreateSymbolicLink(folder.File("a"), "b");
        File.CreateSymbolicLink(folder.File("b"), "a");

        Assert.Throws<IOException>(() => RealPath.Of(folder.File("a")));
        Assert.False(FileNames.Exists(folder.File("a")));
    }
}
