using System.Runtime.CompilerServices;
using MedVlm.Checkpoints;

namespace MedVlm.Datasets;

/// <summary>ROCOv2-radiology (arXiv:2405.10004) as published on Zenodo: a CSV file of captions and a folder of images for each split.</summary>
internal sealed class RocoFolderDataset : CaptionDataset
{
    const string CaptionsSuffix = "_captions.csv";

    static readonly string[] s_endings = [".jpg", ".jpeg", ".png"];
    static readonly string[][] s_columns = [["ID", "image_id"], ["Caption"]];

    readonly string _folder;
    readonly IReadOnlyList<string> _splits;

    public RocoFolderDataset(string folder, string? split)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        _folder = Path.GetFullPath(folder);
        var there = SplitsOf(_folder);
        if (there.Length == 0)
            throw new DatasetException($"There is no train{CaptionsSuffix}, valid{CaptionsSuffix} or test{CaptionsSuffix} in \"{folder}\".");
        _splits = Splits.Choose(there, split);
    }

    public override string Description => $"ROCOv2 folder, {string.Join(", ", _splits)}";

    /// <summary>Whether a folder has captions as ROCOv2 does.</summary>
    public static bool IsOne(string folder) => SplitsOf(folder).Length > 0;

    public override async IAsyncEnumerable<DatasetItem> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        foreach (var split in _splits)
        {
            var images = new Images(_folder, split);
            await foreach (var (row, values) in Rows(split, cancellationToken).ConfigureAwait(false))
                yield return Item(split, row, values, images);
        }
    }

    internal override async IAsyncEnumerable<ItemKey> ReadKeysAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var split in _splits)
            await foreach (var (row, values) in Rows(split, cancellationToken).ConfigureAwait(false))
                yield return new(IdOf(split, row, values), null);
    }

    // An image is looked for only when it is wanted: a job that goes on asks for few of them.
    internal override async IAsyncEnumerable<DatasetItem> ReadAsync(
        Func<string, bool> wanted, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var split in _splits)
        {
            var images = new Images(_folder, split);
            await foreach (var (row, values) in Rows(split, cancellationToken).ConfigureAwait(false))
                if (wanted(IdOf(split, row, values)))
                    yield return Item(split, row, values, images);
        }
    }

    IAsyncEnumerable<(long Row, string?[] Values)> Rows(string split, CancellationToken cancellationToken) =>
        CsvRows.ReadAsync(Path.Combine(_folder, split + CaptionsSuffix), ',', s_columns, required: 1, cancellationToken);

    static string IdOf(string split, long row, string?[] values) => string.IsNullOrWhiteSpace(values[0]) ? $"{split} row {row}" : values[0]!;

    static DatasetItem Item(string split, long row, string?[] values, Images images)
    {
        var id = IdOf(split, row, values);
        var item = string.IsNullOrWhiteSpace(values[0]) ? DatasetItem.Bad(id, $"{split}{CaptionsSuffix}: row {row} has no ID.")
            : !FileNames.IsPlain(id) ? DatasetItem.Bad(id, $"{split}{CaptionsSuffix}: the ID of row {row} is no file name.")
            : new DatasetItem(id, MedicalImage.FromFile(images.PathOf(id)));
        return item with { ReferenceCaption = values[1] };
    }

    static string[] SplitsOf(string folder)
    {
        try
        {
            return [.. new DirectoryInfo(folder).EnumerateFiles("*" + CaptionsSuffix)
                .Select(file => file.Name[..^CaptionsSuffix.Length]).Where(Splits.IsUsual)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The folders in which a split's images may be, depending on how the archives were unpacked; the last one that had an image comes first.</summary>
    sealed class Images
    {
        readonly List<(string Folder, string Ending)> _places;

        public Images(string folder, string split)
        {
            string[] names = [$"{split}_images/{split}", $"{split}_images", $"{split}/{split}", $"{split}/images", split, $"images/{split}", "images", ""];
            _places = [.. names.Select(name => Path.Combine(folder, name)).Where(Directory.Exists).SelectMany(place => s_endings, (place, ending) => (place, ending))];
            if (_places.Count == 0)
                _places.Add((folder, s_endings[0]));
        }

        public string PathOf(string id)
        {
            for (int i = 0; i < _places.Count; i++)
            {
                var path = At(_places[i], id);
                if (!File.Exists(path))
                    continue;
                if (i > 0)
                {
                    var place = _places[i];
                    _places.RemoveAt(i);
                    _places.Insert(0, place);
                }
                return path;
            }
            return At(_places[0], id);   // fails when it is opened, as a missing file
        }

        static string At((string Folder, string Ending) place, string id) => Path.Combine(place.Folder, id + place.Ending);
    }
}
