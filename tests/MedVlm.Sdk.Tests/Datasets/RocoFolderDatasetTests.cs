using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Datasets;

/// <summary>ROCOv2 as it is published: captions in CSV, images in a folder for each split.</summary>
public sealed class RocoFolderDatasetTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("{0}_images/{0}")]
    [InlineData("{0}_images")]
    [InlineData("{0}/{0}")]
    [InlineData("{0}")]
    [InlineData("images")]
    public async Task Finds_the_images_wherever_the_archives_were_unpacked(string layout)
    {
        foreach (var split in (string[])["train", "valid", "test"])
        {
            _folder.Write($"{split}_captions.csv", $"ID,Caption\nROCOv2_2023_{split}_000001,\"{split}, one\"\nROCOv2_2023_{split}_000002,two\n");
            for (int i = 1; i <= 2; i++)
                _folder.Write($"{string.Format(null, layout, split)}/ROCOv2_2023_{split}_00000{i}.jpg", DatasetFiles.Png(i));
        }

        var all = await CaptionDataset.Open(_folder.Path).ItemsAsync();
        var valid = await CaptionDataset.Open(_folder.Path, "validation").ItemsAsync();

        Assert.Equal(
            ["ROCOv2_2023_train_000001", "ROCOv2_2023_train_000002", "ROCOv2_2023_valid_000001", "ROCOv2_2023_valid_000002", "ROCOv2_2023_test_000001", "ROCOv2_2023_test_000002"],
            all.Select(item => item.Id));
        Assert.Equal(["valid, one", "two"], valid.Select(item => item.ReferenceCaption));
        foreach (var item in all)
            Assert.Null(await item.ErrorAsync());
    }

    [Fact]
    public async Task Bad_rows_are_failed_items()
    {
        _folder.Write("outside.jpg", DatasetFiles.Png(1));
        _folder.Write("roco/test_captions.csv", "ID,Caption\n../outside,x\n,no id\nmissing,y\n");
        _folder.Write("roco/test_images/other.jpg", DatasetFiles.Png(1));

        var items = await CaptionDataset.FromRocoFolder(_folder.File("roco")).ItemsAsync();

        Assert.Equal(["../outside", "test row 3", "missing"], items.Select(item => item.Id));
        Assert.Equal("test_captions.csv: the ID of row 2 is no file name.", Assert.IsType<DatasetException>(await items[0].ErrorAsync()).Message);
        Assert.Equal("test_captions.csv: row 3 has no ID.", Assert.IsType<DatasetException>(await items[1].ErrorAsync()).Message);
        Assert.IsType<ImageException>(await items[2].ErrorAsync());
    }

    [Fact]
    public void A_split_that_is_not_there_is_named()
    {
        _folder.Write("train_captions.csv", "ID,Caption\n");

        Assert.Equal(
            "There is no split \"test\" in this data set, only train.",
            Assert.Throws<DatasetException>(() => CaptionDataset.FromRocoFolder(_folder.Path, "test")).Message);
    }
}
