using System.Text;
using System.Text.Json;
using MedVlm.Evaluation.Files;
using Sylvan.Data.Csv;

namespace MedVlm.Evaluation.Ratings;

/// <summary>Reads what a data set says of each image, such as its modality: CSV with an id and other columns, or JSON lines.</summary>
public static class LabelFile
{
    static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: true, throwOnInvalidBytes: true);

    /// <summary>Reads one column.</summary>
    /// <param name="path">The file, UTF-8. A CSV file has a first line with <c>ID</c> and the column; lines of JSON are objects with <c>id</c> and the column.</param>
    /// <param name="column">Name of the column. In CSV, capitals make no difference.</param>
    /// <returns>Labels by id. Images without one have an empty label, or are missing.</returns>
    /// <exception cref="EvaluationDataException">The file cannot be read, is malformed (a row of CSV has not as many fields as the first line), is not UTF-8, has no such
    /// column, or has an id twice.</exception>
    public static IReadOnlyDictionary<string, string> Read(string path, string column)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentException.ThrowIfNullOrEmpty(column);
        try
        {
            using var text = new StreamReader(path, s_strictUtf8, detectEncodingFromByteOrderMarks: false);
            int line = 1;
            while (char.IsWhiteSpace((char)Math.Max(text.Peek(), 0)))
                line += text.Read() == '\n' ? 1 : 0;
            return text.Peek() == '{' ? ReadJson(path, text, column) : ReadCsv(path, text, line, column);
        }
        catch (DecoderFallbackException e)
        {
            throw new EvaluationDataException($"{path} is not UTF-8. Save the file as UTF-8.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException or CsvFormatException or CsvRecordTooLargeException)
        {
            throw new EvaluationDataException($"{path} cannot be read as labels: {e.Message}", e);
        }
    }

    static Dictionary<string, string> ReadCsv(string path, StreamReader text, int line, string column)
    {
        using var csv = CsvDataReader.Create(text, CsvCaptionRows.Options);
        string[] header = csv.Read() ? CsvCaptionRows.Fields(csv) : [];
        int Find(string name) => Array.FindIndex(header, title => title.Equals(name, StringComparison.OrdinalIgnoreCase)) is >= 0 and var index
            ? index
            : throw new EvaluationDataException($"{path} has no column \"{name}\". Its columns are {string.Join(", ", header)}.");

        int id = Find("ID"), label = Find(column);
        var labels = new Dictionary<string, string>();
        line += CsvCaptionRows.Breaks(header);
        while (csv.Read())
        {
            var row = CsvCaptionRows.Fields(csv);
            if (row.Length == header.Length)
                Add(labels, row[id], row[label], path);
            else if (!CsvCaptionRows.IsBlank(row))
                throw new EvaluationDataException($"{path}: line {line} has {CsvCaptionRows.FieldCount(row, header)}. A field with a comma in it stands between quotes.");
            line += CsvCaptionRows.Breaks(row);
        }
        return labels;
    }

    static Dictionary<string, string> ReadJson(string path, StreamReader text, string column)
    {
        var labels = new Dictionary<string, string>();
        bool found = false;
        while (text.ReadLine() is { } line)
        {
            if (string.IsNullOrWhiteSpace(line))
                continue;
            using var json = JsonDocument.Parse(line);
            if (!json.RootElement.TryGetProperty("id", out var id) || !json.RootElement.TryGetProperty(column, out var label))
                continue;
            found = true;
            Add(labels, id.ToString(), label.ToString(), path);
        }
        return found ? labels : throw new EvaluationDataException($"{path} has no line with \"id\" and \"{column}\".");
    }

    static void Add(Dictionary<string, string> labels, string id, string label, string path)
    {
        if (!string.IsNullOrWhiteSpace(id) && !labels.TryAdd(id, label))
            throw new EvaluationDataException($"{path} has the id \"{id}\" more than once. Each image has one line.");
    }
}
