using System.Text.Json;

namespace MedVlm.Tokenizers;

/// <summary>A value of tokenizer.json that knows its place, so that every complaint names file, key and fault.</summary>
internal readonly struct JsonField(string file, string path, JsonElement value)
{
    const int LongestQuote = 60;

    public bool IsNull => value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    public bool IsArray => value.ValueKind == JsonValueKind.Array;

    /// <summary>The field of that name, which counts as null where it is missing.</summary>
    public JsonField this[string name] => new(file, Join(name), Property(name));

    public string Text() => value.ValueKind == JsonValueKind.String && Characters() is string text ? text : throw Wrong("text");

    public bool Flag() => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong("true or false"),
    };

    public bool Flag(bool fallback) => IsNull ? fallback : Flag();

    public int Whole(int largest) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= 0 && number <= largest
            ? number
            : throw Wrong($"a whole number from 0 to {largest}");

    /// <summary>The elements of an array; null counts as empty.</summary>
    public IEnumerable<JsonField> Items()
    {
        if (IsNull)
            yield break;
        if (value.ValueKind != JsonValueKind.Array)
            throw Wrong("an array");

        var index = 0;
        foreach (var item in value.EnumerateArray())
            yield return new JsonField(file, $"{path}[{index++}]", item);
    }

    /// <summary>The fields of an object, with their names.</summary>
    public IEnumerable<(string Name, JsonField Field)> Entries()
    {
        if (value.ValueKind != JsonValueKind.Object)
            throw Wrong("an object");

        foreach (var property in value.EnumerateObject())
        {
            string name;
            try
            {
                name = property.Name;
            }
            catch (InvalidOperationException)
            {
                throw Damaged("has a name that is no Unicode text");
            }
            yield return (name, new JsonField(file, $"{path}[\"{name}\"]", property.Value));
        }
    }

    /// <summary>The file breaks its own format.</summary>
    public CheckpointException Damaged(string fault) =>
        new($"{file}: {path} {fault}. The file is damaged: take it anew from the checkpoint's source.");

    public CheckpointException Wrong(string expected) => Damaged($"is {Quote()}; expected is {expected}");

    /// <summary>The file may be right, but asks for what this library does not do.</summary>
    public CheckpointException Unsupported(params string[] supported) =>
        new($"{file}: {path} is {Quote()}; supported {(supported.Length == 1 ? "is" : "are")} {string.Join(", ", supported)}. "
            + "This library cannot run this tokenizer.");

    public override string ToString() => $"{path} = {Quote()}";

    string Join(string name) => path.Length == 0 ? name : $"{path}.{name}";

    JsonElement Property(string name) => value.ValueKind switch
    {
        JsonValueKind.Object => value.TryGetProperty(name, out var property) ? property : default,
        _ => throw (path.Length == 0
            ? new CheckpointException($"{file}: the file is {Quote()}; expected is an object. It is no tokenizer of the tokenizers library.")
            : Wrong("an object")),
    };

    string? Characters()
    {
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)   // half of a surrogate pair, or bytes that are no UTF-8
        {
            return null;
        }
    }

    string Quote() => value.ValueKind switch
    {
        JsonValueKind.Undefined => "missing",
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => Characters() is string text ? $"\"{Shorten(text)}\"" : "no Unicode text",
        _ => Shorten(value.GetRawText()),
    };

    static string Shorten(string text) => text.Length <= LongestQuote ? text : string.Concat(text.AsSpan(0, LongestQuote), "…");
}
