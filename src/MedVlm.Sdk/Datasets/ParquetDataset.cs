using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Parquet;
using Parquet.Data;
using Parquet.Schema;

namespace MedVlm.Datasets;

/// <summary>Tables in parquet files with the images inside, read row group by row group.</summary>
/// <remarks>
/// What is in memory: the image column of one row group (the hub's image data sets have 100 rows in each, about 20 MB), and a copy of each
/// image that is being captioned. A row group none of whose images are wanted is skipped unread.
/// </remarks>
internal sealed class ParquetDataset : CaptionDataset
{
    /// <summary>Largest image column of a row group.</summary>
    const long LargestColumn = 1L << 30;

    const int LargestFooter = 64 << 20, LargestHeader = 64 << 10;

    /// <summary>Most rows of a row group.</summary>
    const long MostRows = 1 << 20;

    /// <summary>Most bytes of a text column of a row group in memory. A dictionary holds equal texts once in the file; here each row has its own.</summary>
    const long LargestText = 256 << 20;

    /// <summary>Longest id, in characters.</summary>
    const int LongestId = 16 << 10;

    readonly string _description;
    readonly IReadOnlyList<ParquetFiles.Part> _files;

    public ParquetDataset(string path, string? split)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        _files = ParquetFiles.Choose(path, split);
        _description = _files.Count == 1 ? "parquet file" : $"{_files.Count} parquet files";
    }

    public override string Description => _description;

    public override IAsyncEnumerable<DatasetItem> ReadAsync(CancellationToken cancellationToken = default) => ReadAsync(_ => true, cancellationToken);

    public override async ValueTask<long?> CountAsync(CancellationToken cancellationToken = default)
    {
        long count = 0;
        foreach (var part in _files)
        {
            var file = await ParquetTable.OpenAsync(part, cancellationToken).ConfigureAwait(false);
            await using (file.ConfigureAwait(false))
                count += file.RowGroups.Sum(group => group.RowCount);
        }
        return count;
    }

    internal override async IAsyncEnumerable<ItemKey> ReadKeysAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var part in _files)
        {
            var table = await ParquetTable.OpenAsync(part, cancellationToken).ConfigureAwait(false);
            await using (table.ConfigureAwait(false))
                foreach (var group in table.RowGroups)
                {
                    var (ids, prompts) = (await table.IdsAsync(group, cancellationToken).ConfigureAwait(false), await table.TextAsync(group, table.Prompt, cancellationToken).ConfigureAwait(false));
                    for (int i = 0; i < ids.Length; i++)
                        yield return new(ids[i], prompts?[i]);
                }
        }
    }

    internal override async IAsyncEnumerable<DatasetItem> ReadAsync(
        Func<string, bool> wanted, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var part in _files)
        {
            var table = await ParquetTable.OpenAsync(part, cancellationToken).ConfigureAwait(false);
            var folder = Path.GetDirectoryName(part.Path)!;
            await using (table.ConfigureAwait(false))
                foreach (var group in table.RowGroups)
                {
                    var ids = await table.IdsAsync(group, cancellationToken).ConfigureAwait(false);
                    var rows = Array.ConvertAll(ids, id => wanted(id));
                    if (!rows.Contains(true))
                        continue;

                    var captions = await table.TextAsync(group, table.Caption, cancellationToken).ConfigureAwait(false);
                    var prompts = await table.TextAsync(group, table.Prompt, cancellationToken).ConfigureAwait(false);
                    var paths = await table.TextAsync(group, table.ImagePath, cancellationToken).ConfigureAwait(false);
                    using var images = await table.ImagesAsync(group, cancellationToken).ConfigureAwait(false);
                    for (int i = 0; i < ids.Length; i++)
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        if (rows[i])
                            yield return Item(folder, ids[i], images.Has(i) ? images[i].ToArray() : null, paths?[i]) with { ReferenceCaption = captions?[i], Prompt = prompts?[i] };
                    }
                }
        }
    }

    static DatasetItem Item(string folder, string id, byte[]? bytes, string? path)
    {
        if (bytes is not null)
            return new DatasetItem(id, MedicalImage.FromBytes(bytes));
        if (path is null)
            return DatasetItem.Bad(id, "The row has no image.");
        var (full, fault) = ContainedPath.Resolve(folder, path);
        return full is null ? DatasetItem.Bad(id, fault!) : new DatasetItem(id, MedicalImage.FromFile(full));
    }

    /// <summary>An open file, and the columns in it that matter. Nothing that the file says of sizes is believed unchecked.</summary>
    sealed class ParquetTable : IAsyncDisposable
    {
        readonly string _name;
        readonly FileStream _stream;
        readonly ParquetReader _reader;
        readonly DataField? _id, _image;

        ParquetTable(string name, FileStream stream, ParquetReader reader)
        {
            (_name, _stream, _reader) = (name, stream, reader);
            _image = Find<ReadOnlyMemory<byte>>("image/bytes", "image", "bytes", "jpg", "png")
                ?? throw new DatasetException($"{name}: there is no column \"image\" with the bytes of images (columns: {string.Join(", ", reader.Schema.DataFields.Take(20).Select(field => field.Path))}).");
            _id = Find<ReadOnlyMemory<char>>("image_id", "id", "name");
            (ImagePath, Caption, Prompt) = (Find<ReadOnlyMemory<char>>("image/path"), Find<ReadOnlyMemory<char>>("caption", "text"), Find<ReadOnlyMemory<char>>("prompt"));
        }

        public DataField? ImagePath { get; }

        public DataField? Caption { get; }

        public DataField? Prompt { get; }

        public IReadOnlyList<ParquetRowGroupReader> RowGroups => _reader.RowGroups;

        public static async Task<ParquetTable> OpenAsync(ParquetFiles.Part part, CancellationToken cancellationToken)
        {
            var name = part.Name;
            FileStream? stream = null;
            ParquetReader? reader = null;
            try
            {
                stream = new FileStream(part.Path, FileMode.Open, FileAccess.Read, FileShare.Read);
                CheckFooter(stream);
                reader = await ParquetReader.CreateAsync(stream, null, true, cancellationToken).ConfigureAwait(false);
                return new ParquetTable(name, stream, reader);
            }
            catch (Exception e)
            {
                if (reader is not null)
                    await reader.DisposeAsync().ConfigureAwait(false);
                if (stream is not null)
                    await stream.DisposeAsync().ConfigureAwait(false);
                if (e is OperationCanceledException or DatasetException)
                    throw;
                throw Damaged(name, e);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _reader.DisposeAsync().ConfigureAwait(false);
            await _stream.DisposeAsync().ConfigureAwait(false);
        }

        /// <summary>The ids of a row group; a row without one is called by its place.</summary>
        public async Task<string[]> IdsAsync(ParquetRowGroupReader group, CancellationToken cancellationToken)
        {
            var ids = await TextAsync(group, _id ?? ImagePath, cancellationToken).ConfigureAwait(false) ?? new string?[CheckedRows(group)];
            int number = _reader.RowGroups.TakeWhile(other => other != group).Count();
            for (int i = 0; i < ids.Length; i++)
                if (string.IsNullOrWhiteSpace(ids[i]))
                    ids[i] = $"{_name} row group {number} row {i}";
                else if (ids[i]!.Length > LongestId)
                    throw new DatasetException(
                        $"{_name}: the id in row {i} of row group {number} has {ids[i]!.Length} characters; at most {LongestId} are read. Write the file anew with shorter ids.");
            return ids!;
        }

        /// <summary>A column of text; null where there is no such column.</summary>
        public async Task<string?[]?> TextAsync(ParquetRowGroupReader group, DataField? field, CancellationToken cancellationToken)
        {
            if (field is null)
                return null;
            using var column = await ReadAsync<char>(group, field, cancellationToken).ConfigureAwait(false);
            var values = new string?[CheckedRows(group)];
            long bytes = 0;
            for (int row = 0; row < values.Length; row++)
            {
                if (!column.Has(row))
                    continue;
                bytes += sizeof(char) * (long)column[row].Length;
                if (bytes > LargestText)
                    throw new DatasetException(
                        $"{_name}: the texts of the column {field.Path} take more than {LargestText} bytes in one row group, which is the most that is read. Write the file anew with smaller row groups.");
                values[row] = new string(column[row]);
            }
            return values;
        }

        /// <summary>The column of images.</summary>
        public Task<Column<byte>> ImagesAsync(ParquetRowGroupReader group, CancellationToken cancellationToken) => ReadAsync<byte>(group, _image!, cancellationToken);

        async Task<Column<T>> ReadAsync<T>(ParquetRowGroupReader group, DataField field, CancellationToken cancellationToken)
        {
            CheckSizes(group, field);
            int rows = CheckedRows(group);
            try
            {
                var column = group.GetMetadata(field)!.MetaData!;
                CheckPages(StartOf(column), column.TotalCompressedSize, column.NumValues);
                var data = await group.ReadRawColumnDataBaseAsync(field, cancellationToken).ConfigureAwait(false);
                try
                {
                    return new Column<T>((RawColumnData<ReadOnlyMemory<T>>)data, field.MaxDefinitionLevel, rows);
                }
                catch
                {
                    data.Dispose();
                    throw;
                }
            }
            catch (Exception e) when (e is not (OperationCanceledException or DatasetException))
            {
                throw Damaged(_name, e);
            }
        }

        DataField? Find<T>(params string[] names) => names
            .Select(name => _reader.Schema.DataFields.FirstOrDefault(field =>
                field.ClrType == typeof(T) && field.MaxRepetitionLevel == 0 && string.Equals(field.Path.ToString(), name, StringComparison.OrdinalIgnoreCase)))
            .FirstOrDefault(field => field is not null);

        static long StartOf(Parquet.Meta.ColumnMetaData column) =>
            Math.Min(column.DataPageOffset, column.DictionaryPageOffset is > 0 and { } dictionary ? dictionary : long.MaxValue);

        int CheckedRows(ParquetRowGroupReader group) => group.RowCount is >= 0 and <= MostRows and var rows
            ? (int)rows
            : throw new DatasetException($"{_name}: a row group of {group.RowCount} rows; at most {MostRows} are read. Write the file anew with smaller row groups.");

        void CheckSizes(ParquetRowGroupReader group, DataField field)
        {
            var column = group.GetMetadata(field)?.MetaData ?? throw new DatasetException($"{_name}: a row group lacks the column {field.Path}. The file is damaged: fetch it again.");
            long start = StartOf(column);
            if (start < 0 || column.TotalCompressedSize < 0 || column.TotalUncompressedSize < 0 || start > _stream.Length - column.TotalCompressedSize
                || column.NumValues != group.RowCount)
                throw new DatasetException($"{_name}: the column {field.Path} is said to lie beyond the file's end, or to have another number of rows than the file. It is damaged or was cut short: fetch it again.");
            if (column.TotalUncompressedSize > LargestColumn)
                throw new DatasetException($"{_name}: the column {field.Path} has {column.TotalUncompressedSize} bytes in one row group; at most {LargestColumn} are read. Write the file anew with smaller row groups.");
        }

        /// <summary>Checks the footer, which stands at the end: its bytes, their number, "PAR1".</summary>
        static void CheckFooter(FileStream stream)
        {
            Span<byte> tail = stackalloc byte[8];
            if (stream.Length < 12 || RandomAccess.Read(stream.SafeFileHandle, tail, stream.Length - tail.Length) != tail.Length || !tail[4..].SequenceEqual("PAR1"u8)
                || BinaryPrimitives.ReadInt32LittleEndian(tail) is var length && (length < 0 || length > stream.Length - 12 || length > LargestFooter))
                throw new InvalidDataException("No footer.");
            var footer = new byte[length];
            RandomAccess.Read(stream.SafeFileHandle, footer, stream.Length - tail.Length - length);
            ParquetStructure.CheckFooter(footer);
        }

        /// <summary>Checks that a column's pages follow each other to its end, and that together they hold what it is said to hold.</summary>
        void CheckPages(long start, long length, long values)
        {
            var buffer = new byte[(int)Math.Min(LargestHeader, length)];
            long position = start, end = start + length, found = 0, uncompressed = 0;
            while (found < values)
            {
                int read = RandomAccess.Read(_stream.SafeFileHandle, buffer.AsSpan(0, (int)Math.Min(buffer.Length, end - position)), position);
                var page = ParquetStructure.ReadPage(buffer.AsSpan(0, read));
                position += page.HeaderLength + (long)page.Length;
                uncompressed += page.UncompressedLength;
                found += page.IsDictionary ? 0 : page.Values;
                if (position > end || uncompressed > LargestColumn || page.IsDictionary && page.Values > page.UncompressedLength)
                    throw new InvalidDataException("A page beyond its column.");
            }
            if (found != values)
                throw new InvalidDataException("More values than rows.");
        }

        // Of a damaged file the reader throws whatever it stumbles over.
        static DatasetException Damaged(string name, Exception e) =>
            new($"{name}: the file cannot be read as parquet ({e.GetType().Name}). It is damaged or was cut short, or of a kind that is not supported: fetch it again.", e);
    }

    /// <summary>A column of texts or byte strings of a row group, which may be absent from rows.</summary>
    sealed class Column<T> : IDisposable
    {
        readonly RawColumnData<ReadOnlyMemory<T>> _data;

        /// <summary>Which value each row has; -1 for none. (Values that are there lie without gaps.)</summary>
        readonly int[] _valueOf;

        public Column(RawColumnData<ReadOnlyMemory<T>> data, int maxLevel, int rows)
        {
            (_data, _valueOf) = (data, new int[rows]);
            int values = 0;
            for (int row = 0; row < rows; row++)
                _valueOf[row] = maxLevel == 0 || data.DefinitionLevels[row] == maxLevel ? values++ : -1;
            if (values > data.Values.Length)
                throw new InvalidDataException("Fewer values than rows.");
        }

        public bool Has(int row) => _valueOf[row] >= 0;

        /// <summary>A row's value, valid until the column is disposed.</summary>
        public ReadOnlySpan<T> this[int row] => _data.Values[_valueOf[row]].Span;

        public void Dispose() => _data.Dispose();
    }
}
