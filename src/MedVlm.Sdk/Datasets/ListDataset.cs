using System.Runtime.CompilerServices;
using System.Text.Json;

namespace MedVlm.Datasets;

/// <summary>A list of image files: CSV, TSV, or one JSON object a line.</summary>
internal sealed class ListDataset : CaptionDataset
{
    const int LongestLine = 4 << 20;

    static readonly string[] s_path = ["path", "image", "file", "file_name"], s_id = ["id", "image_id"], s_caption = ["caption", "text"], s_prompt = ["prompt"];

    readonly string _file, _root;

    public ListDataset(string file, string? root)
    {
        ArgumentException.ThrowIfNullOrEmpty(file);
        if (!File.Exists(file))
            throw new DatasetException($"There is no file \"{file}\".");
        if (Extension(file) is not (".csv" or ".tsv" or ".jsonl"))
            throw new DatasetException("A list of images ends in .csv, .tsv or .jsonl.");
        if (root is not null && !Directory.Exists(root))
            throw new DatasetException($"There is no folder \"{root}\".");
        _file = Path.GetFullPath(file);
        _root = Path.GetFullPath(root ?? Path.GetDirectoryName(_file)!);
    }

    public override string Description => $"list of images ({Extension(_file)[1..].ToUpperInvariant()})";

    public override async IAsyncEnumerable<DatasetItem> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        if (Extension(_file) == ".jsonl")
        {
            foreach (var item in JsonItems())
            {
                cancellationToken.ThrowIfCancellationRequested();
                yield return item;
            }
            yield break;
        }

        var rows = CsvRows.ReadAsync(
            _file, Extension(_file) == ".tsv" ? '\t' : ',', [s_path, s_id, s_caption, s_prompt], required: 1, cancellationToken);
        await foreach (var (row, values) in rows.ConfigureAwait(false))
            yield return Item($"row {row}", values[0], values[1], values[2], values[3]);
    }

    IEnumerable<DatasetItem> JsonItems()
    {
        using var stream = Guard(() => new FileStream(_file, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0));
        var lines = new LineReader(stream, LongestLine);
        while (Guard(lines.Read))
        {
            var line = lines.Line.Span;
            if (lines.Lines == 1 && line.StartsWith("\uFEFF"u8))
                line = line[3..];
            if (line.Trim(" \t\r"u8).Length > 0)
                yield return JsonItem(lines.Lines, line);
        }
    }

    DatasetItem JsonItem(long number, ReadOnlySpan<byte> line)
    {
        try
        {
            string? path = null, id = null, caption = null, prompt = null;
            var json = new Utf8JsonReader(line);
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
                return DatasetItem.Bad(NameOf(number), $"Line {number} is no JSON object.");
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var key = json.GetString()!;
                json.Read();
                if (json.TokenType is JsonTokenType.String or JsonTokenType.Number)
                {
                    var value = json.TokenType == JsonTokenType.String ? json.GetString() : JsonElement.ParseValue(ref json).GetRawText();
                    if (Is(s_path, key))
                        path ??= value;
                    else if (Is(s_id, key))
                        id ??= value;
                    else if (Is(s_caption, key))
                        caption ??= value;
                    else if (Is(s_prompt, key))
                        prompt ??= value;
                }
                else
                    json.Skip();
            }
            if (json.Read())
                return DatasetItem.Bad(NameOf(number), $"Line {number} holds more than one JSON object.");
            return Item(NameOf(number), path, id, caption, prompt);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return DatasetItem.Bad(NameOf(number), $"Line {number} is not valid JSON in UTF-8.");
        }
    }

    DatasetItem Item(string place, string? path, string? id, string? caption, string? prompt)
    {
        var name = !string.IsNullOrWhiteSpace(id) ? id : !string.IsNullOrWhiteSpace(path) ? path : place;
        var (full, fault) = ContainedPath.Resolve(_root, path ?? "");
        return (full is null ? DatasetItem.Bad(name, fault!) : new DatasetItem(name, MedicalImage.FromFile(full))) with
        {
            ReferenceCaption = caption, Prompt = string.IsNullOrEmpty(prompt) ? null : prompt,
        };
    }

    T Guard<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new DatasetException($"{Path.GetFileName(_file)} cannot be read to its end. {e.Message}", e);
        }
    }

    static bool Is(string[] names, string key) => names.Contains(key, StringComparer.OrdinalIgnoreCase);

    static string NameOf(long number) => $"line {number}";

    static string Extension(string file) => Path.GetExtension(file).ToLowerInvariant();
}
