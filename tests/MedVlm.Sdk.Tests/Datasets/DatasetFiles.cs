using MedVlm.Tests.Imaging;
using Parquet;
using Parquet.Schema;

namespace MedVlm.Tests.Datasets;

/// <summary>Small data sets in the layouts that are read.</summary>
internal static class DatasetFiles
{
    /// <summary>An image that differs from number to number.</summary>
    public static byte[] Png(int number)
    {
        var samples = new byte[16 * 16];
        for (int i = 0; i < samples.Length; i++)
            samples[i] = (byte)(i * (number + 3) + number);
        return SampleImages.Encode(samples, 1, ".png", width: 16, height: 16);
    }

    /// <summary>A row as the hub's ROCOv2-radiology has it.</summary>
    public sealed record Row(string? Id, byte[]? Image, string? Path = null, string? Caption = null, string[]? Cui = null);

    /// <summary>A parquet file with the schema that the hub's converter writes: image {bytes, path}, image_id, caption, cui list.</summary>
    public static async Task<byte[]> ParquetAsync(IReadOnlyList<IReadOnlyList<Row>> rowGroups, CompressionMethod compression = CompressionMethod.Snappy)
    {
        DataField<byte[]> bytes = new("bytes");
        DataField<string> path = new("path"), id = new("image_id"), caption = new("caption"), cui = new("element");
        var schema = new ParquetSchema(new StructField("image", bytes, path), id, caption, new ListField("cui", cui));
        using var file = new MemoryStream();
        await using (var writer = await ParquetWriter.CreateAsync(schema, file, new ParquetOptions { CompressionMethod = compression }))
            foreach (var rows in rowGroups)
            {
                using var group = writer.CreateRowGroup();
                await group.WriteAsync(bytes, rows.Select(row => row.Image).ToArray()!);
                await group.WriteAsync(path, rows.Select(row => row.Path).ToArray()!);
                await group.WriteAsync(id, rows.Select(row => row.Id).ToArray()!);
                await group.WriteAsync(caption, rows.Select(row => row.Caption).ToArray()!);
                var concepts = rows.SelectMany(row => (row.Cui ?? ["C1"]).Select((one, i) => (one, Level: i == 0 ? 0 : 1))).ToArray();
                await group.WriteAsync(cui, concepts.Select(concept => concept.one).ToArray(), (ReadOnlyMemory<int>?)concepts.Select(concept => concept.Level).ToArray());
            }
        return file.ToArray();
    }

    public static async Task<List<DatasetItem>> ItemsAsync(this CaptionDataset dataset) =>
        await dataset.ReadAsync(TestContext.Current.CancellationToken).ToListAsync(TestContext.Current.CancellationToken);

    /// <summary>Decodes an item's image: null if it succeeds, else the error.</summary>
    public static async Task<Exception?> ErrorAsync(this DatasetItem item) =>
        await Record.ExceptionAsync(async () => await item.Image.DecodeAsync(new ImageLimits(), TestContext.Current.CancellationToken));
}
