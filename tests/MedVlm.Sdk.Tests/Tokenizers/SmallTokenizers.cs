using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>Tokenizers that are in every clone.</summary>
internal static class SmallTokenizers
{
    public static readonly string Goldens = Path.Combine(TestFolders.Repository, "tests", "goldens");

    static readonly Dictionary<string, Lazy<Tokenizer>> Loaded = new()
    {
        ["blip"] = new(() => Tokenizer.Load(Path.Combine(Goldens, "blip", "checkpoint", "tokenizer.json"))),
        ["smolvlm"] = new(() => Tokenizer.Load(Path.Combine(Goldens, "smolvlm", "checkpoint", "tokenizer.json"))),
        ["qwen2-vl"] = new(() => Tokenizer.Load(Path.Combine(Goldens, "qwen2-vl", "checkpoint", "tokenizer.json"))),
        ["phi3.5-vision"] = new(() => Tokenizer.Load(Path.Combine(Goldens, "phi3.5-vision", "checkpoint", "tokenizer.json"))),
        ["llava-med"] = new(() => Tokenizer.Load(Path.Combine(Goldens, "llava-med", "checkpoint", "tokenizer.model"))),
        ["starmie"] = new(() => Tokenizer.Load(Path.Combine(Goldens, "moondream2", "starmie-v1", "tokenizer.json"))),
        ["tiny-model"] = new(() => Tokenizer.Load(Path.Combine(TestFolders.TinyModel, "tokenizer.json"))),
    };

    public static TheoryData<string> Names => [.. Loaded.Keys];

    /// <summary>Those that keep every character; BERT's has lower-case words of its vocabulary.</summary>
    public static TheoryData<string> Lossless => [.. Loaded.Keys.Where(name => name != "blip")];

    public static Tokenizer Get(string name) => Loaded[name].Value;
}
