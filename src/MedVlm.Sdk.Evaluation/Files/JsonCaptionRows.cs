using System.Text;
using System.Text.Json;

namespace MedVlm.Evaluation.Files;

/// <summary>Rows of JSON lines: <c>id</c> and <c>caption</c> (or <c>text</c>, as the console writes it), or <c>captions</c> for several references, or <c>error</c> for a failed image. Other keys
/// are passed over.</summary>
internal static class JsonCaptionRows
{
    public static IEnumerable<CaptionRow> Read(string path, FileFaults faults)
    {
        int number = 0;
        foreach (var line in File.ReadLines(path, Encoding.UTF8))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line) && Parse(line, number, faults) is { } row)
                yield return row;
        }
    }

    static CaptionRow? Parse(string line, int number, FileFaults faults)
    {
        try
        {
            using var json = JsonDocument.Parse(line.TrimStart('\uFEFF'));
            var row = json.RootElement;
            if (row.ValueKind != JsonValueKind.Object)
                return Fault("no object");
            if (!row.TryGetProperty("id", out var idValue) || IdOf(idValue) is not { } id)
                return Fault("no \"id\" that is a text");

            foreach (var name in (ReadOnlySpan<string>)["caption", "text"])
                if (row.TryGetProperty(name, out var caption) && caption.ValueKind != JsonValueKind.Null)
                    return caption.ValueKind == JsonValueKind.String ? new(number, id, [caption.GetString()!]) : Fault($"\"{name}\" of \"{id}\" is no text");
            if (row.TryGetProperty("captions", out var captions))
                return captions.ValueKind == JsonValueKind.Array && captions.GetArrayLength() > 0
                    && captions.EnumerateArray().All(text => text.ValueKind == JsonValueKind.String)
                    ? new(number, id, [.. captions.EnumerateArray().Select(text => text.GetString()!)])
                    : Fault($"\"captions\" of \"{id}\" is no list of texts");
            return row.TryGetProperty("error", out var error) && error.ValueKind != JsonValueKind.Null
                ? new(number, id, [])
                : Fault($"\"{id}\" has neither \"caption\" nor \"error\"");
        }
        catch (JsonException e)
        {
            return Fault($"no JSON at byte {e.BytePositionInLine + 1}");
        }
        catch (InvalidOperationException)
        {
            return Fault("a text with half of a surrogate pair");
        }

        CaptionRow? Fault(string what)
        {
            faults.Add(FaultKind.Malformed, $"line {number} ({what})");
            return null;
        }
    }

    static string? IdOf(JsonElement id) => id.ValueKind switch
    {
        JsonValueKind.String => id.GetString(),
        JsonValueKind.Number => id.GetRawText(),
        _ => null,
    };
}
