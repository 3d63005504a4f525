using System.Text.Json;
using MedVlm.Tokenizers;
using Microsoft.ML.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

internal static class TestBpe
{
    /// <summary>The tiny model's BPE without anything around it, and the same by Microsoft.ML.Tokenizers.</summary>
    public static (ByteLevelBpe Ours, BpeTokenizer Microsofts) FromTinyModel()
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.TinyModel, "tokenizer.json")));
        var model = json.RootElement.GetProperty("model");
        return (
            new ByteLevelBpe(ByteLevelJson.ReadModel(JsonField.Root("tokenizer.json", json.RootElement)["model"]), null, []),
            BpeTokenizer.Create(new BpeOptions(model.GetProperty("vocab").EnumerateObject().Select(token => KeyValuePair.Create(token.Name, token.Value.GetInt32())))
            {
                ByteLevel = true,
                Merges = [.. model.GetProperty("merges").EnumerateArray().Select(
                    merge => merge.ValueKind == JsonValueKind.Array ? $"{merge[0]} {merge[1]}" : $"{merge}")],
            }));
    }
}
