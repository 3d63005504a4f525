using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Datasets;

/// <summary>Damaged lists and tables: a data set's own error, or items that fail, and nothing else.</summary>
public sealed class DatasetFuzzTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("list.csv", "id,path,caption\na,a.png,\"x, \"\"y\"\"\nz\"\nb,b.png,c\n")]
    [InlineData("list.jsonl", "{\"id\":\"a\",\"path\":\"a.png\",\"caption\":\"x\\n\\u00e9\",\"n\":[1,{\"k\":2.5e3}]}\n{\"path\":\"b.png\"}\n")]
    public void Lists_only_fail_in_their_own_way(string name, string text)
    {
        int tried = Fuzz.Run<DatasetException>([System.Text.Encoding.UTF8.GetBytes(text)], bytes =>
        {
            var path = _folder.Write(name, bytes);
            foreach (var item in CaptionDataset.FromList(path).ReadAsync(TestContext.Current.CancellationToken).ToBlockingEnumerable())
                Assert.NotEmpty(item.Id);
        });
        Assert.InRange(tried, 1, int.MaxValue);
    }

    [Fact]
    public async Task Tables_only_fail_in_their_own_way()
    {
        var rows = Enumerable.Range(0, 5).Select(i => new DatasetFiles.Row($"id{i}", [1, 2, (byte)i], $"{i}.png", i == 2 ? null : $"caption {i}", ["C1", "C2"])).ToArray();
        byte[][] seeds =
        [
            await DatasetFiles.ParquetAsync([rows[..2], rows[2..]]),
            await DatasetFiles.ParquetAsync([rows], Parquet.CompressionMethod.None),
            await DatasetFiles.ParquetAsync([rows], Parquet.CompressionMethod.Zstd),
        ];
        int tried = Fuzz.Run<DatasetException>(seeds, bytes =>
        {
            var path = _folder.Write("x.parquet", bytes);
            foreach (var item in CaptionDataset.FromParquet(path).ReadAsync(TestContext.Current.CancellationToken).ToBlockingEnumerable())
                Assert.NotEmpty(item.Id);
        });
        Assert.InRange(tried, 1, int.MaxValue);
    }
}
