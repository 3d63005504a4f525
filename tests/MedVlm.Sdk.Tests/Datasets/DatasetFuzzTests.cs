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
        Assert.InRange(tried, 100, int.MaxValue);
    }
}
