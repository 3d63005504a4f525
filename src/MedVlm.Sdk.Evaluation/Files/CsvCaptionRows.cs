using System.Globalization;
using System.Text;
using Sylvan.Data.Csv;

namespace MedVlm.Evaluation.Files;

/// <summary>Rows of a CSV file (RFC 4180) with the columns ID and Caption.</summary>
internal static class CsvCaptionRows
{
    // A reader takes the mark of an encoding that has one for granted, and nobody learns whether it was there.
    static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false);

    /// <summary>How every CSV file is read here: RFC 4180, with room for a long caption.</summary>
    public static CsvDataReaderOptions Options { get; } = new()
    {
        Delimiter = ',', Comment = '\0', HasHeaders = false, CsvStyle = CsvStyle.Standard, Culture = CultureInfo.InvariantCulture,
        BufferSize = 1 << 16, MaxBufferSize = CaptionRows.LongestRow, ResultSetMode = ResultSetMode.SingleResult,
    };

    public static IEnumerable<CaptionRow> Read(string path, FileFaults faults, bool exactHeader)
    {
        using var text = new StreamReader(path, s_utf8, detectEncodingFromByteOrderMarks: false, bufferSize: 1 << 16);
        if (text.Peek() == '\uFEFF')
        {
            text.Read();
            if (exactHeader)
                faults.Add(FaultKind.Header, "the file begins with a byte order mark, which the task's scorer takes for a part of the first column's name; save it as UTF-8 without one");
        }
        using var csv = Guarded(() => CsvDataReader.Create(text, Options), 1, faults);
        if (csv is null || !Guarded(csv.Read, 1, faults))
        {
            if (!faults.Any)
                faults.Add(FaultKind.Header, "the file is empty; its first line must be ID,Caption");
            yield break;
        }

        string[] header = Fields(csv);
        int Column(string title) => Array.FindIndex(header, name => name.Equals(title, StringComparison.OrdinalIgnoreCase));
        int id = Column("ID"), caption = Column("Caption"), error = -1;
        if (caption < 0 && !exactHeader)
            (caption, error) = (Column("text"), Column("error"));   // as the console writes it
        if (exactHeader ? header is not ["ID", "Caption"] : id < 0 || caption < 0)
        {
            faults.Add(FaultKind.Header, $"the first line is \"{Shortened(string.Join(',', header))}\"; it must be ID,Caption");
            if (id < 0 || caption < 0)
                yield break;
        }

        int line = 1 + Breaks(header);
        while (Guarded(csv.Read, line, faults))
        {
            string[] fields = Fields(csv);
            if (fields.Length == header.Length)
                yield return new(line, fields[id], error >= 0 && fields[error].Length > 0 ? [] : [fields[caption]]);
            else if (exactHeader || !IsBlank(fields))   // the task's scorer takes no blank line
                faults.Add(FaultKind.Malformed, $"line {line} ({(IsBlank(fields) ? "blank" : FieldCount(fields, header))})");
            line += Breaks(fields);
        }
    }

    public static string[] Fields(CsvDataReader csv)
    {
        var fields = new string[csv.RowFieldCount];
        for (int i = 0; i < fields.Length; i++)
            fields[i] = csv.GetString(i);
        return fields;
    }

    public static bool IsBlank(string[] fields) => fields is [""];

    /// <summary>Says that a row has not as many fields as the header.</summary>
    public static string FieldCount(string[] fields, string[] header) => $"{FileFaults.Counted(fields.Length, "field")} instead of {header.Length}";

    /// <summary>How many lines a row takes: line breaks may stand inside quotes.</summary>
    public static int Breaks(string[] fields) => 1 + fields.Sum(field => field.AsSpan().Count('\n'));

    static string Shortened(string text) => text.Length <= 60 ? text : text[..60] + "…";

    /// <summary>What cannot be read as CSV ends the file: where the next row begins is not known.</summary>
    static T? Guarded<T>(Func<T> read, int line, FileFaults faults)
    {
        try
        {
            return read();
        }
        catch (CsvRecordTooLargeException)
        {
            faults.Add(FaultKind.Malformed, $"line {line} (a quote that does not close, or a row longer than {CaptionRows.LongestRow >> 20} MiB)");
        }
        catch (CsvFormatException)
        {
            faults.Add(FaultKind.Malformed, $"line {line} (quotes around a field must close, and a quote inside is written twice)");
        }
        return default;
    }
}
