using System.Text.Json;

namespace MedVlm.Tokenizers;

/// <summary>A value of tokenizer.json that knows its place, so that every complaint names file, key and fault.</summary>
/// <param name="File">The file's name.</param>
/// <param name="Parent">Path of the value that holds this one.</param>
/// <param name="Name">Name in an object; null in an array and for the whole file.</param>
/// <param name="Index">Index in an array.</param>
/// <param name="Value">The value; of kind Undefined where it is missing.</param>
internal readonly record struct JsonField(string File, string Parent, string? Name, int Index, JsonElement Value)
{
    const int NoIndex = -1;
    const int LongestQuote = 60;

    public static JsonField Root(string file, JsonElement value) => new(file, "", null, NoIndex, value);

    // Joined only when it is needed: a vocabulary has 150,000 fields.
    string Path => (Name, Index) switch
    {
        (null, NoIndex) => Parent,
        (null, _) => $"{Parent}[{Index}]",
        _ => Parent.Length == 0 ? Name : $"{Parent}.{Name}",
    };

    public bool IsNull => Value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    public bool IsArray => Value.ValueKind == JsonValueKind.Array;

    /// <summary>The field of that name, which counts as null where it is missing.</summary>
    public JsonField this[string name] => Value.ValueKind switch
    {
        JsonValueKind.Object => new(File, Path, name, NoIndex, Value.TryGetProperty(name, out var property) ? property : default),
        _ when Path.Length == 0 => throw new CheckpointException($"{File}: the file holds {Quote()}, but a tokenizer is an object."),
        _ => throw Wrong("an object"),
    };

    public string Text() => Value.ValueKind == JsonValueKind.String && Characters() is string text ? text : throw Wrong("text");

    public bool Flag() => Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong("true or false"),
    };

    public bool Flag(bool fallback) => IsNull ? fallback : Flag();

    public int Whole(int largest) =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out var number) && number >= 0 && number <= largest
            ? number
            : throw Wrong($"a whole number from 0 to {largest}");

    /// <summary>Fields of an object, or elements of an array; 0 of anything else.</summary>
    public int Count => Value.ValueKind switch
    {
        JsonValueKind.Object => Value.GetPropertyCount(),
        JsonValueKind.Array => Value.GetArrayLength(),
        _ => 0,
    };

    /// <summary>The elements of an array, without their places; null counts as empty.</summary>
    public JsonElement.ArrayEnumerator Elements() => IsNull ? default : IsArray ? Value.EnumerateArray() : throw Wrong("an array");

    /// <summary>An element of an array.</summary>
    public JsonField At(int index) => new(File, Path, null, index, Value[index]);

    /// <summary>The elements of an array; null counts as empty.</summary>
    public IEnumerable<JsonField> Items()
    {
        if (IsNull)
            yield break;
        if (!IsArray)
            throw Wrong("an array");

        var (path, index) = (Path, 0);
        foreach (var item in Value.EnumerateArray())
            yield return new JsonField(File, path, null, index++, item);
    }

    /// <summary>The fields of an object, by name.</summary>
    public IEnumerable<JsonField> Fields()
    {
        if (Value.ValueKind != JsonValueKind.Object)
            throw Wrong("an object");

        var path = Path;
        foreach (var property in Value.EnumerateObject())
            yield return new JsonField(File, path, ReadName(property), NoIndex, property.Value);
    }

    /// <summary>The file breaks its own format.</summary>
    public CheckpointException Damaged(string fault) =>
        new($"{File}: {Path} {fault}. The file is damaged: take it anew from the checkpoint's source.");

    public CheckpointException Wrong(string expected) => Damaged($"is {Quote()}; expected is {expected}");

    /// <summary>The file may be right, but asks for what this library does not do.</summary>
    public CheckpointException Refused(string fault) => new($"{File}: {Path} {fault}. This library cannot run this tokenizer.");

    public CheckpointException Unsupported(params string[] supported) =>
        Refused($"is {Quote()}; supported {(supported.Length == 1 ? "is" : "are")} {string.Join(", ", supported)}");

    string ReadName(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException)
        {
            throw Damaged("has a name that is no Unicode text");
        }
    }

    string? Characters()
    {
        try
        {
            return Value.GetString();
        }
        catch (InvalidOperationException)   // half of a surrogate pair, or bytes that are no UTF-8
        {
            return null;
        }
    }

    string Quote() => Value.ValueKind switch
    {
        JsonValueKind.Undefined => "missing",
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => Characters() is string text ? $"\"{Shorten(text)}\"" : "no Unicode text",
        _ => Shorten(Value.GetRawText()),
    };

    static string Shorten(string text) => text.Length <= LongestQuote ? text : string.Concat(text.AsSpan(0, LongestQuote), "…");
}
