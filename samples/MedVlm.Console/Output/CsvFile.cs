using System.Text.Json;
using CsvHelper;

namespace MedVlm.ConsoleSample.Output;

/// <summary>Comma-separated values (RFC 4180) with a header line; numbers as in English everywhere.</summary>
internal sealed class CsvFile : ResultFile
{
    static readonly string[] s_columns = [.. typeof(ResultRow).GetProperties().Select(column => JsonNamingPolicy.SnakeCaseLower.ConvertName(column.Name))];

    readonly CsvWriter _csv;

    public CsvFile(Stream stream)
    {
        _csv = CsvWriter.Create(stream, CsvWriterOptions.Default with { NewLine = "\n" });
        _csv.WriteHeader(s_columns);
        _csv.Flush();
    }

    public override async Task WriteAsync(ResultRow row)
    {
        _csv.WriteRecord(row);
        await _csv.FlushAsync();
    }

    public override ValueTask DisposeAsync() => _csv.DisposeAsync();
}
