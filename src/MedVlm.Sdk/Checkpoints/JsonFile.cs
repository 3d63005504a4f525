using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.Unicode;

namespace MedVlm.Checkpoints;

/// <summary>Reads JSON files of a checkpoint within limits, and says in the file's own words what is wrong with them.</summary>
internal static class JsonFile
{
    const long Longest = 64 << 20;       // a tokenizer.json, the longest of them, may have tens of MB
    const int DeepestNesting = 64;

    /// <summary>Reads a file into a record.</summary>
    /// <exception cref="CheckpointException">Missing or too large, not JSON, or not what the record asks for.</exception>
    public static T Read<T>(string path, JsonTypeInfo<T> type) where T : class
    {
        using var document = Parse(path);
        try
        {
            return document.RootElement.Deserialize(type) ?? throw Bad(path, "the file holds only null");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException or FormatException
                                      or ArgumentException or OverflowException)
        {
            throw MissingKey(path, document.RootElement, type) ?? WrongKind(path, document.RootElement, e);
        }
    }

    /// <summary>Reads a file as it is.</summary>
    /// <exception cref="CheckpointException">Missing or too large, or not JSON.</exception>
    public static JsonDocument Parse(string path)
    {
        var bytes = ReadBytes(path);
        try
        {
            var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = DeepestNesting });
            if (!Utf8.IsValid(bytes) || bytes.AsSpan().IndexOf("\\u"u8) >= 0)
                DecodeStrings(document.RootElement);
            return document;
        }
        catch (JsonException e)
        {
            throw Bad(path, $"the file is not valid JSON at line {(e.LineNumber ?? 0) + 1}, byte {(e.BytePositionInLine ?? 0) + 1}", e);
        }
        catch (InvalidOperationException e)
        {
            throw Bad(path, "the file holds text that is not valid Unicode", e);
        }
    }

    /// <summary>The bytes of a file that may be of any size and kind.</summary>
    /// <exception cref="CheckpointException">Missing, empty or too large.</exception>
    public static byte[] ReadBytes(string path)
    {
        try
        {
            var target = RealPath.Of(path);
            var length = new FileInfo(target).Length;   // asked before opening: a pipe has none, and opening it would wait
            if (length == 0)
                throw Bad(path, "the file is empty");
            if (length > Longest)
                throw new CheckpointException($"{Path.GetFileName(path)}: the file has {length} bytes, more than the {Longest} that a "
                    + "JSON file of a checkpoint may have. Take the checkpoint from its original source.");
            return File.ReadAllBytes(target);
        }
        catch (Exception e) when (Fault.IsFileError(e))
        {
            throw new CheckpointException($"{Path.GetFileName(path)}: the file cannot be read. {e.Message}", e);
        }
    }

    /// <summary>Text is decoded when it is asked for: ask now, where the file's name is known.</summary>
    static void DecodeStrings(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                element.GetString();
                break;
            case JsonValueKind.Array:
                foreach (var item in element.EnumerateArray())
                    DecodeStrings(item);
                break;
            case JsonValueKind.Object:
                foreach (var property in element.EnumerateObject())
                {
                    _ = property.Name;
                    DecodeStrings(property.Value);
                }
                break;
        }
    }

    /// <summary>The serialiser names the type of our record, not the way to the key: find the first missing one ourselves.</summary>
    static CheckpointException? MissingKey(string path, JsonElement element, JsonTypeInfo type, string prefix = "")
    {
        if (element.ValueKind != JsonValueKind.Object || type.Kind != JsonTypeInfoKind.Object)
            return null;
        foreach (var property in type.Properties)
        {
            var key = prefix + property.Name;
            if (!element.TryGetProperty(property.Name, out var value))
            {
                if (property.IsRequired)
                    return new CheckpointException($"{Path.GetFileName(path)}: the key \"{key}\" is missing. The file is not of the model "
                        + "family that it names, or was written by hand: take it from the model's own page.");
            }
            else if (value.ValueKind == JsonValueKind.Object
                     && MissingKey(path, value, type.Options.GetTypeInfo(property.PropertyType), key + ".") is { } missing)
                return missing;
        }
        return null;
    }

    static CheckpointException WrongKind(string path, JsonElement root, Exception cause)
    {
        if (cause is not JsonException { Path: ['$', '.', .. var key] })
            return Bad(path, "the file does not hold what the model family asks for", cause);
        var found = root;
        foreach (var part in key.Split('.'))
            if (found.ValueKind != JsonValueKind.Object || !found.TryGetProperty(part, out found))
                return Bad(path, $"the key {Fault.Quote(key)} is not of the kind that the model family asks for", cause);
        return Bad(path, $"the key {Fault.Quote(key)} is {Fault.Quote(found.GetRawText())}, which is not of the kind that the model family "
            + "asks for", cause);
    }

    static CheckpointException Bad(string path, string fault, Exception? cause = null) =>
        new($"{Path.GetFileName(path)}: {fault}. {Fault.FetchAgain}", cause);
}
