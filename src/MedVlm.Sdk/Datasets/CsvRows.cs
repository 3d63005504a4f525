using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Sylvan.Data.Csv;

namespace MedVlm.Datasets;

/// <summary>Rows of a CSV file (RFC 4180, UTF-8, with a header), some columns of each.</summary>
internal static class CsvRows
{
    /// <summary>Longest row: room for a very long caption, and none for a file without line ends.</summary>
    const int LongestRow = 4 << 20;

    static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads the columns that are asked for; of a column that the file does not have, or a row that is short, the value is null.</summary>
    /// <param name="file">The file.</param>
    /// <param name="separator">Between columns.</param>
    /// <param name="columns">For each value the names that its column may have; letter case does not matter.</param>
    /// <param name="required">How many of the columns, from the first, the file must have.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="DatasetException">The file cannot be read, is not CSV, or lacks a column.</exception>
    public static async IAsyncEnumerable<(long Row, string?[] Values)> ReadAsync(
        string file, char separator, string[][] columns, int required, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var text = Guard(file, 0, () => new StreamReader(file, s_utf8, detectEncodingFromByteOrderMarks: true, bufferSize: 1 << 16));
        using var csv = await GuardAsync<CsvDataReader>(file, 1, () => CsvDataReader.CreateAsync(text, new CsvDataReaderOptions
        {
            Delimiter = separator, HasHeaders = true, BufferSize = 1 << 16, MaxBufferSize = LongestRow, Culture = CultureInfo.InvariantCulture,
            CsvStyle = CsvStyle.Standard, OwnsReader = false, Comment = '\0',   // an id may begin with '#'
        }, cancellationToken)).ConfigureAwait(false);

        var names = Guard(file, 1, () => Enumerable.Range(0, csv.FieldCount).Select(i => csv.GetName(i).Trim()).ToList());
        var places = columns.Select(aliases => names.FindIndex(name => aliases.Contains(name, StringComparer.OrdinalIgnoreCase))).ToArray();
        if (places.AsSpan(0, required).IndexOf(-1) is >= 0 and var missing)
            throw new DatasetException($"{Path.GetFileName(file)}: the header has no column \"{string.Join("\" or \"", columns[missing])}\". "
                + "The first line must name the columns, separated by " + (separator == ',' ? "commas." : "tabs."));

        for (long row = 2; await GuardAsync<bool>(file, row, () => csv.ReadAsync(cancellationToken)).ConfigureAwait(false); row++)
            yield return (row, Guard(file, row, () => Array.ConvertAll(places, place => place >= 0 && place < csv.RowFieldCount ? csv.GetString(place) : null)));
    }

    static T Guard<T>(string file, long row, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is not (OperationCanceledException or DatasetException))
        {
            throw Damaged(file, row, e);
        }
    }

    static async Task<T> GuardAsync<T>(string file, long row, Func<Task<T>> read)
    {
        try
        {
            return await read().ConfigureAwait(false);
        }
        catch (Exception e) when (e is not (OperationCanceledException or DatasetException))
        {
            throw Damaged(file, row, e);
        }
    }

    static DatasetException Damaged(string file, long row, Exception e) => e is IOException or UnauthorizedAccessException
        ? new($"{Path.GetFileName(file)} cannot be read. {e.GetType().Name}: check that it is there and that this process may read it.", e)
        : e is DecoderFallbackException
        ? new($"{Path.GetFileName(file)}: row {row}, or one soon after it, is not UTF-8. Save the file as UTF-8.", e)
        : new($"{Path.GetFileName(file)}: row {row} is not valid CSV ({e.GetType().Name}). Quotes that open must close, a quote inside is "
            + "doubled, and no row may be longer than 4 MiB.", e);
}
