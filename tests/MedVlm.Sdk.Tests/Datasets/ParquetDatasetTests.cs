using MedVlm.Tests.Checkpoints;
using Parquet;
using Parquet.Schema;

namespace MedVlm.Tests.Datasets;

/// <summary>ROCOv2-radiology as the hub serves it: tables with the images inside.</summary>
public sealed class ParquetDatasetTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(CompressionMethod.None)]
    [InlineData(CompressionMethod.Snappy)]
    [InlineData(CompressionMethod.Gzip)]
    [InlineData(CompressionMethod.Zstd)]
    public async Task Reads_the_files_of_each_split_in_order(CompressionMethod compression)
    {
        // Row groups of different sizes, and file names whose order is not that of the splits.
        await WriteAsync("data/validation-00000-of-00001.parquet", compression, ["v0"]);
        await WriteAsync("data/train-00001-of-00002.parquet", compression, ["t3"], ["t4", "t5"]);
        await WriteAsync("data/train-00000-of-00002.parquet", compression, ["t0", "t1", "t2"]);

        var dataset = CaptionDataset.Open(_folder.Path);
        var items = await dataset.ItemsAsync();

        Assert.Equal(["t0", "t1", "t2", "t3", "t4", "t5", "v0"], items.Select(item => item.Id));
        Assert.Equal(items.Select(item => $"caption of {item.Id}"), items.Select(item => item.ReferenceCaption));
        Assert.Equal(7, await dataset.CountAsync(TestContext.Current.CancellationToken));
        Assert.Equal(["v0"], (await CaptionDataset.Open(_folder.Path, "valid").ItemsAsync()).Select(item => item.Id));
        foreach (var item in items)
        {
            var image = await item.Image.Keyed().DecodeAsync(new ImageLimits(), TestContext.Current.CancellationToken);
            Assert.Equal(Pixel(item.Id), image.Pixels[0]);
        }
    }

    [Fact]
    public async Task Rows_without_an_image_or_an_id_are_told_apart()
    {
        _folder.Write("other.png", DatasetFiles.Png(1));
        _folder.Write("x-0.parquet", await DatasetFiles.ParquetAsync([[
            new("null", null), new("file", null, "other.png"), new("out", null, "../x.png"), new(null, DatasetFiles.Png(2)), new("empty", []),
            new("good", DatasetFiles.Png(3), "good.png"),
        ]]));

        var items = await CaptionDataset.Open(_folder.Path).ItemsAsync();

        Assert.Equal(["null", "file", "out", "x-0.parquet row group 0 row 3", "empty", "good"], items.Select(item => item.Id));
        var errors = await Task.WhenAll(items.Select(item => item.ErrorAsync()));
        Assert.Equal([typeof(DatasetException), null, typeof(DatasetException), null, typeof(ImageException), null], errors.Select(error => error?.GetType()));
    }

    [Fact]
    public async Task In_folders_by_split_rows_and_paths_are_of_their_own_file()
    {
        foreach (var split in (string[])["train", "test"])
        {
            _folder.Write($"{split}/{split}.png", DatasetFiles.Png(1));
            _folder.Write($"{split}/0000.parquet", await DatasetFiles.ParquetAsync([[new(null, DatasetFiles.Png(2)), new(split, null, $"{split}.png")]]));
        }

        var items = await CaptionDataset.Open(_folder.Path).ItemsAsync();

        Assert.Equal(["train/0000.parquet row group 0 row 0", "train", "test/0000.parquet row group 0 row 0", "test"], items.Select(item => item.Id));
        Assert.All(await Task.WhenAll(items.Select(item => item.ErrorAsync())), Assert.Null);
        Assert.Equal("test/0000.parquet row group 0 row 0", (await CaptionDataset.Open(_folder.Path, "test").ItemsAsync())[0].Id);   // as without a split
    }

    [Theory]
    [InlineData("test-00000-of-00002.parquet", "test", null)]
    [InlineData("valid.parquet", "validation", null)]
    [InlineData("train/0000.parquet", "train", null)]
    [InlineData("train/test-0.parquet", "test", null)]
    [InlineData("test-00000-of-00002.parquet", "train", "There is no split \"train\" in this data set, only test.")]
    [InlineData("train/0000.parquet", "test", "There is no split \"test\" in this data set, only train.")]
    [InlineData("x.parquet", "test", "There is no split \"test\" in this data set, only x.")]
    public async Task A_file_by_itself_is_of_one_split(string name, string split, string? message)
    {
        await WriteAsync(name, CompressionMethod.Snappy, ["a"]);

        var error = Record.Exception(() => CaptionDataset.Open(_folder.File(name), split));

        Assert.Equal(message, error?.Message);
        Assert.True(error is null or DatasetException);
        if (message is null)
            Assert.Equal("a", Assert.Single(await CaptionDataset.Open(_folder.File(name), split).ItemsAsync()).Id);
    }

    [Fact]
    public async Task Row_groups_of_which_nothing_is_wanted_stay_unread()
    {
        var file = await DatasetFiles.ParquetAsync([[Row("a")], [Row("b")]], CompressionMethod.None);

        // What stands before the image of "a" destroyed: whoever reads that column notices.
        int at = file.AsSpan().IndexOf(Row("a").Image);
        Assert.True(at > 4);
        file.AsSpan(4, at - 4).Fill(0xFF);
        var path = _folder.Write("x.parquet", file);
        var asked = new List<string>();

        var items = await CaptionDataset.FromParquet(path).ReadAsync(
            id =>
            {
                asked.Add(id);
                return id == "b";
            }, TestContext.Current.CancellationToken).ToListAsync(TestContext.Current.CancellationToken);

        Assert.Equal(["a", "b"], asked);
        Assert.Equal("b", Assert.Single(items).Id);
        Assert.Equal(["a", "b"], (await CaptionDataset.FromParquet(path).ReadKeysAsync(TestContext.Current.CancellationToken).ToListAsync(TestContext.Current.CancellationToken)).Select(key => key.Id));
        await Assert.ThrowsAsync<DatasetException>(() => CaptionDataset.FromParquet(path).ItemsAsync());
    }

    [Fact]
    public async Task Hundreds_of_images_in_a_row_group_take_the_memory_of_one_row_group()
    {
        // 4 row groups of 300 images of 40 kB that do not compress: 12 MB each, 48 MB together.
        var random = new Random(1);
        var noise = new byte[300][];
        for (int i = 0; i < noise.Length; i++)
            random.NextBytes(noise[i] = new byte[40_000]);
        var path = _folder.Write("x.parquet", await DatasetFiles.ParquetAsync([.. Enumerable.Range(0, 4).Select(group => noise.Select((bytes, i) => new DatasetFiles.Row($"{group}.{i}", bytes)).ToArray())]));
        noise = null;

        long most = 0, count = 0;
        await foreach (var _ in CaptionDataset.FromParquet(path).ReadAsync(TestContext.Current.CancellationToken))
            if (++count % 50 == 0)
                most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true));

        Assert.Equal(1200, count);
        Assert.InRange(most - GC.GetTotalMemory(forceFullCollection: true), long.MinValue, 40 << 20);
    }

    [Fact]
    public async Task A_small_file_does_not_grow_to_more_text_than_memory_holds()
    {
        // A dictionary with one text of 10,000 characters, and 20,000 rows that name it: 400 MB in memory.
        DataField<string> id = new("id"), caption = new("caption");
        DataField<byte[]> image = new("image");
        var path = _folder.File("x.parquet");
        await using (var file = File.Create(path))
        await using (var writer = await ParquetWriter.CreateAsync(
            new ParquetSchema(id, caption, image), file, new ParquetOptions { ColumnEncodingHints = { ["caption"] = EncodingHint.Dictionary } }, cancellationToken: TestContext.Current.CancellationToken))
        {
            using var group = writer.CreateRowGroup();
            await group.WriteAsync(id, Enumerable.Range(0, 20_000).Select(i => $"{i}").ToArray());
            await group.WriteAsync(caption, Enumerable.Repeat(new string('x', 10_000), 20_000).ToArray());
            await group.WriteAsync(image, Enumerable.Repeat(DatasetFiles.Png(1), 20_000).ToArray());
        }
        Assert.InRange(new FileInfo(path).Length, 0, 1_000_000);

        var e = await Assert.ThrowsAsync<DatasetException>(() => CaptionDataset.FromParquet(path).ItemsAsync());

        Assert.Equal(
            "x.parquet: the texts of the column caption take more than 268435456 bytes in one row group, which is the most that is read. Write the file anew with smaller row groups.",
            e.Message);
    }

    [Theory]
    [InlineData(16_384, null)]
    [InlineData(16_385, "x.parquet: the id in row 1 of row group 0 has 16385 characters; at most 16384 are read. Write the file anew with shorter ids.")]
    public async Task An_id_is_of_some_length(int length, string? message)
    {
        var path = _folder.Write("x.parquet", await DatasetFiles.ParquetAsync([[new("a", DatasetFiles.Png(1)), new(new string('x', length), DatasetFiles.Png(2))]]));

        var e = await Record.ExceptionAsync(() => CaptionDataset.FromParquet(path).ItemsAsync());

        Assert.Equal(message, e?.Message);
        Assert.True(e is null or DatasetException);
    }

    [Fact]
    public async Task A_row_of_files_with_gaps_is_refused()
    {
        await WriteAsync("train-00000-of-00003.parquet", CompressionMethod.Snappy, ["a"]);
        await WriteAsync("train-00002-of-00003.parquet", CompressionMethod.Snappy, ["b"]);

        Assert.Equal(
            "Of the 3 parquet files of the split train only 2 are there. Fetch the others, or name the files that are meant one by one.",
            Assert.Throws<DatasetException>(() => CaptionDataset.Open(_folder.Path)).Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("PAR1PAR1")]
    [InlineData("this is no parquet file at all, whatever its name says")]
    public async Task A_file_that_is_none_says_so(string text)
    {
        var dataset = CaptionDataset.FromParquet(_folder.Write("x.parquet", text));

        Assert.Contains("x.parquet: the file cannot be read as parquet", (await Assert.ThrowsAsync<DatasetException>(() => dataset.ItemsAsync())).Message, StringComparison.Ordinal);
    }

    static DatasetFiles.Row Row(string id) => new(id, DatasetFiles.Png(id[^1]), $"{id}.png", $"caption of {id}", ["C0040405", "C0817096"]);

    static byte Pixel(string id) => (byte)id[^1];

    async Task WriteAsync(string name, CompressionMethod compression, params string[][] rowGroups) =>
        _folder.Write(name, await DatasetFiles.ParquetAsync([.. rowGroups.Select(ids => ids.Select(Row).ToArray())], compression));
}
