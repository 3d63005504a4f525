using System.Text.Json;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

internal static class TestBpe
{
    /// <summary>The tiny model's BPE without anything around it.</summary>
    public static ByteLevelBpe FromTinyModel()
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.TinyModel, "tokenizer.json")));
        return new ByteLevelBpe(ByteLevelJson.ReadModel(JsonField.Root("tokenizer.json", json.RootElement)["model"]), null, []);
    }
}
