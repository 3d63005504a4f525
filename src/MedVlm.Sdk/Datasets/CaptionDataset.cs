using System.Runtime.CompilerServices;
using MedVlm.Datasets;

namespace MedVlm;

/// <summary>Images with ids, read one after another: what a <see cref="CaptionJob"/> captions. Derive from it for a source of your own.</summary>
/// <remarks>
/// A data set can be read any number of times and gives the same ids each time. Nothing of it stays in memory but what is being read. What
/// its files say is not trusted: a relative path stays inside the data set's folder, and a damaged file is a <see cref="DatasetException"/>.
/// </remarks>
public abstract class CaptionDataset
{
    /// <summary>What it is, for people: "ROCOv2 folder, split test".</summary>
    public abstract string Description { get; }

    /// <summary>Reads it from the beginning.</summary>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <returns>The items. A row that names no readable image is an item whose image fails.</returns>
    /// <exception cref="DatasetException">It cannot be read, or not to its end.</exception>
    public abstract IAsyncEnumerable<DatasetItem> ReadAsync(CancellationToken cancellationToken = default);

    /// <summary>How many items it has, where that is known without reading it all. Default: null.</summary>
    /// <param name="cancellationToken">Ends the counting.</param>
    public virtual ValueTask<long?> CountAsync(CancellationToken cancellationToken = default) => new((long?)null);

    /// <summary>Opens a data set by what lies at a path.</summary>
    /// <param name="path">
    /// A list of images (.csv, .tsv, .jsonl), a parquet file, or a folder: of ROCOv2 as it is published (train_captions.csv and its kind),
    /// of parquet files as the Hugging Face hub serves them (also in "data" below it), else of images.
    /// </param>
    /// <param name="split">Only this split (train, valid or validation, test), where the data set has splits. Default: null, all of them.</param>
    /// <exception cref="DatasetException">No such file or folder, no data set in it, or no such split.</exception>
    public static CaptionDataset Open(string path, string? split = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        CaptionDataset dataset = Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".csv" or ".tsv" or ".jsonl" when File.Exists(path) => FromList(path),
            ".parquet" when File.Exists(path) => FromParquet(path, split),
            _ when !Directory.Exists(path) => throw new DatasetException(
                File.Exists(path)
                    ? "The file is no data set: lists of images end in .csv, .tsv or .jsonl, tables with images in .parquet."
                    : $"There is no file or folder \"{path}\"."),
            _ when RocoFolderDataset.IsOne(path) => FromRocoFolder(path, split),
            _ when ParquetFiles.In(path).Count > 0 => FromParquet(path, split),
            _ => FromFolder(path),
        };
        if (split is not null && dataset is ListDataset or FolderDataset)
            throw new DatasetException($"This data set has no splits, so none is \"{split}\".");
        return dataset;
    }

    /// <summary>The image files of a folder and the folders below it, as <see cref="CaptionRequest.FromFolder"/> finds and names them.</summary>
    /// <param name="folder">The folder. The names of its files are in memory while it is read.</param>
    /// <exception cref="DatasetException">No such folder.</exception>
    public static CaptionDataset FromFolder(string folder) => new FolderDataset(folder);

    /// <summary>
    /// A list of images: CSV or TSV with a header, or one JSON object a line. Columns or keys: "path" (or "image", "file", "file_name"), and
    /// if there, "id" (else the path is the id), "caption" and "prompt". Letter case does not matter.
    /// </summary>
    /// <param name="file">The list: .csv, .tsv or .jsonl, UTF-8.</param>
    /// <param name="root">Where relative paths start, and must stay. Default: null, the list's folder. An absolute path is taken as it is.</param>
    /// <exception cref="DatasetException">No such file, or one of another kind.</exception>
    public static CaptionDataset FromList(string file, string? root = null) => new ListDataset(file, root);

    /// <summary>
    /// ROCOv2-radiology as it is published: train_captions.csv, valid_captions.csv and test_captions.csv (columns ID and Caption), with the
    /// images ID.jpg in train_images/train, train_images, train/train, train or images, and so on.
    /// </summary>
    /// <param name="folder">The folder with the CSV files.</param>
    /// <param name="split">Only this split. Default: null, all that are there, in the order train, valid, test.</param>
    /// <exception cref="DatasetException">No such folder, or no such split in it.</exception>
    public static CaptionDataset FromRocoFolder(string folder, string? split = null) => new RocoFolderDataset(folder, split);

    /// <summary>
    /// Tables in parquet files with the images inside, as the Hugging Face hub serves ROCOv2-radiology: a column "image" of bytes and path (or
    /// of bytes alone), "image_id" (or "id"), and if there, "caption" and "prompt". They are read row group by row
    /// group, which bounds the memory: at most 1 GiB of images in each.
    /// </summary>
    /// <param name="path">One file, or a folder with files such as train-00000-of-00027.parquet, in it, in "data", or in folders by split.</param>
    /// <param name="split">Only this split. Default: null, all of them, in the order train, validation, test.</param>
    /// <exception cref="DatasetException">No such file, no such split, or a file of a numbered row is missing.</exception>
    public static CaptionDataset FromParquet(string path, string? split = null) => new ParquetDataset(path, split);

    /// <summary>The ids and prompts alone, where that is quicker.</summary>
    internal virtual async IAsyncEnumerable<ItemKey> ReadKeysAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var item in ReadAsync(cancellationToken).ConfigureAwait(false))
            yield return new(item.Id, item.Prompt);
    }

    /// <summary>The items that are wanted: asks once for each item in order, before its image is read.</summary>
    internal virtual async IAsyncEnumerable<DatasetItem> ReadAsync(
        Func<string, bool> wanted, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var item in ReadAsync(cancellationToken).ConfigureAwait(false))
            if (wanted(item.Id))
                yield return item;
    }
}
