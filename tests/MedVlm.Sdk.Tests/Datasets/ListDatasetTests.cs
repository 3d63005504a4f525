using CsCheck;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Datasets;

/// <summary>Lists of images: CSV, TSV, JSON lines.</summary>
public sealed class ListDatasetTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("list.csv", "id,path,caption,prompt\r\na,Rö 胸部.png,\"first, with \"\"quotes\"\"\nand two lines\",Why?\r\nb,sub/b.png,,\r\n")]
    [InlineData("list.csv", "\uFEFFIMAGE,Caption,ID,Prompt\nRö 胸部.png,\"first, with \"\"quotes\"\"\nand two lines\",a,Why?\nsub/b.png,,b,\n")]
    [InlineData("list.tsv", "id\tpath\tprompt\tcaption\na\tRö 胸部.png\tWhy?\t\"first, with \"\"quotes\"\"\nand two lines\"\nb\tsub/b.png")]
    [InlineData("list.jsonl", "{\"id\":\"a\",\"image\":\"Rö \\u80f8部.png\",\"x\":{\"id\":[1]},\"caption\":\"first, with \\\"quotes\\\"\\nand two lines\",\"prompt\":\"Why?\"}\n\n{\"path\":\"sub/b.png\",\"id\":\"b\"}")]
    public async Task Reads_what_a_list_says(string name, string text)
    {
        _folder.Write("Rö 胸部.png", DatasetFiles.Png(1));
        _folder.Write("sub/b.png", DatasetFiles.Png(2));

        var items = await CaptionDataset.Open(_folder.Write(name, text)).ItemsAsync();

        Assert.Equal(["a", "b"], items.Select(item => item.Id));
        Assert.Equal("first, with \"quotes\"\nand two lines", items[0].ReferenceCaption);
        Assert.Equal(["Why?", null], items.Select(item => item.Prompt));
        foreach (var item in items)
            Assert.Null(await item.ErrorAsync());
    }

    [Theory]
    [InlineData("../outside.png", "leads out of the data set's folder")]
    [InlineData("sub/../../outside.png", "leads out of the data set's folder")]
    [InlineData("", "names no image")]
    [InlineData("   ", "names no image")]
    [InlineData("a\0.png", "NUL")]
    public async Task A_path_that_may_not_be_read_is_a_failed_item(string path, string message)
    {
        _folder.Write("outside.png", DatasetFiles.Png(1));
        var list = _folder.Write("in/list.jsonl", $$"""{"id":"x","path":{{System.Text.Json.JsonSerializer.Serialize(path)}}}""");

        var item = Assert.Single(await CaptionDataset.FromList(list).ItemsAsync());

        Assert.Equal("x", item.Id);
        Assert.Contains(message, Assert.IsType<DatasetException>(await item.ErrorAsync()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_absolute_path_is_read_because_the_list_names_it()
    {
        var image = _folder.Write("outside.png", DatasetFiles.Png(1));
        var list = _folder.Write("in/list.csv", $"path\n\"{image}\"\nmissing.png\n");

        var items = await CaptionDataset.FromList(list).ItemsAsync();

        Assert.Equal([image, "missing.png"], items.Select(item => item.Id));
        Assert.Null(await items[0].ErrorAsync());
        Assert.IsType<ImageException>(await items[1].ErrorAsync());
    }

    [Fact]
    public async Task Bad_JSON_lines_are_failed_items_and_end_nothing()
    {
        _folder.Write("a.png", DatasetFiles.Png(1));
        var list = _folder.Write("list.jsonl", "{\"path\":\"a.png\"}\nnonsense\n[1]\n{\"path\":\"a.png\",\"id\":\"z\"} {}\n{\"path\":\"a.png\",\"id\":7}\n{\"id\":\"\\ud800\",\"path\":\"a.png\"}\n{");

        var items = await CaptionDataset.FromList(list).ItemsAsync();

        Assert.Equal(["a.png", "line 2", "line 3", "line 4", "7", "line 6", "line 7"], items.Select(item => item.Id));
        Assert.Equal("Line 2 is not valid JSON in UTF-8.", (await items[1].ErrorAsync())!.Message);
        Assert.Equal("Line 3 is no JSON object.", (await items[2].ErrorAsync())!.Message);
        Assert.Null(await items[4].ErrorAsync());
    }

    [Theory]
    [InlineData("name,caption\nx,y\n", "list.csv: the header has no column \"path\" or \"image\" or \"file\" or \"file_name\". The first line must name the columns, separated by commas.")]
    [InlineData("path\n\"open\n", "is not valid CSV")]
    public async Task A_list_that_is_none_says_so(string text, string message)
    {
        var dataset = CaptionDataset.FromList(_folder.Write("list.csv", text));

        Assert.Contains(message, (await Assert.ThrowsAsync<DatasetException>(() => dataset.ItemsAsync())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_row_that_begins_with_a_number_sign_is_a_row()
    {
        var items = await CaptionDataset.FromList(_folder.Write("list.csv", "id,path\n#1,a.png\n2,b.png\n")).ItemsAsync();

        Assert.Equal(["#1", "2"], items.Select(item => item.Id));
    }

    [Fact]
    public async Task A_list_that_is_not_UTF_8_says_so()
    {
        var list = _folder.Write("list.csv", [.. "id,path,caption\n1,a.png,R"u8, 0xF6, .. "ntgen\n"u8]);

        Assert.Equal(
            "list.csv: row 1, or one soon after it, is not UTF-8. Save the file as UTF-8.",
            (await Assert.ThrowsAsync<DatasetException>(() => CaptionDataset.FromList(list).ItemsAsync())).Message);
    }

    [Fact]
    public async Task A_line_without_end_is_refused_before_it_fills_the_memory()
    {
        var csv = _folder.Write("a.csv", "path\n\"" + new string('x', 10 << 20));
        var jsonl = _folder.Write("a.jsonl", new string(' ', 10 << 20));

        await Assert.ThrowsAsync<DatasetException>(() => CaptionDataset.FromList(csv).ItemsAsync());
        await Assert.ThrowsAsync<DatasetException>(() => CaptionDataset.FromList(jsonl).ItemsAsync());
    }

    [Fact]
    public void A_path_without_a_data_set_says_so()
    {
        Assert.Contains("There is no file or folder", Assert.Throws<DatasetException>(() => CaptionDataset.Open(_folder.File("none"))).Message, StringComparison.Ordinal);
        Assert.Contains("no data set", Assert.Throws<DatasetException>(() => CaptionDataset.Open(_folder.Write("x.txt", ""))).Message, StringComparison.Ordinal);
        Assert.Contains("no splits", Assert.Throws<DatasetException>(() => CaptionDataset.Open(_folder.Path, "train")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void CSV_gives_back_what_was_written() =>
        Gen.String[Gen.Char["ab ,\"\n\r\t;é胸\u2028"], 0, 12].Array[1, 20].Sample(captions =>
        {
            var text = "path,caption\n" + string.Concat(captions.Select(caption => $"p,\"{caption.Replace("\"", "\"\"", StringComparison.Ordinal)}\"\n"));
            var path = Path.Combine(_folder.Path, $"{Guid.NewGuid():N}.csv");
            File.WriteAllText(path, text);

            var items = CaptionDataset.FromList(path).ReadAsync(TestContext.Current.CancellationToken).ToBlockingEnumerable().ToList();

            Assert.Equal(captions, items.Select(item => item.ReferenceCaption));
            File.Delete(path);
        }, iter: 300);
}
