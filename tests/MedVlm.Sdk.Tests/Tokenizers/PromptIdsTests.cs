using System.Text.Json;
using System.Text.RegularExpressions;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>Prompts and captions of whole models, with the small tokenizers that are in every clone.</summary>
public sealed class PromptIdsTests
{
    // What the processors put in place of an image: the families' notes.md.
    const string SmolVlmImage =
        @"((<fake_token_around_image><row_\d_col_\d>(<image>)+)+\n)*\n?"
        + "<fake_token_around_image><global-img>(<image>)+<fake_token_around_image>";

    const string QwenImage = @"(<\|image_pad\|>)+";

    [Theory, Trait("Category", "Golden")]
    [InlineData("smolvlm", SmolVlmImage, "<image>")]
    [InlineData("qwen2-vl", QwenImage, "<|image_pad|>")]
    [InlineData("qwen2.5-vl", QwenImage, "<|image_pad|>")]
    public void A_golden_case_has_the_prompt_ids_and_the_text_of_the_reference(string family, string expansion, string placeholder)
    {
        var folder = Path.Combine(TestFolders.Goldens, family);
        var path = Path.Combine(folder, "cases.json");
        Assert.SkipUnless(File.Exists(path), $"No cases of {family} in these goldens.");
        var tokenizer = Tokenizer.Load(Path.Combine(folder, "checkpoint", "tokenizer.json"));

        foreach (var prompt in Read(path))
            prompt.Check(tokenizer, expansion, placeholder);
    }

    [Fact]
    public void A_caption_of_the_tiny_model_has_the_prompt_ids_and_the_text_of_the_reference()
    {
        var prompts = Read(Path.Combine(TestFolders.Phantoms, "references.json"));

        foreach (var prompt in prompts)   // the captions in this file are trimmed
            (prompt with { Generated = " " + prompt.Generated }).Check(SmallTokenizers.Get("tiny-model"), SmolVlmImage, "<image>");
    }

    /// <summary>The cases of a file, and those that lie in the "more" of a case.</summary>
    static List<Prompt> Read(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(path));
        var cases = document.RootElement.EnumerateArray()
            .SelectMany(entry => entry.TryGetProperty("more", out var more) ? more.EnumerateArray().Prepend(entry) : [entry])
            .Select(Prompt.Read).ToList();
        Assert.NotEmpty(cases);
        return cases;
    }

    sealed record Prompt(string Text, int[] InputIds, int[] GeneratedIds, string Generated)
    {
        public static Prompt Read(JsonElement entry) => new(
            entry.GetProperty("prompt_text").GetString()!,
            [.. entry.GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt32())],
            [.. entry.GetProperty("generated_ids").EnumerateArray().Select(id => id.GetInt32())],
            entry.GetProperty("text").GetString()!);

        public void Check(Tokenizer tokenizer, string expansion, string placeholder)
        {
            var expanded = tokenizer.Decode(InputIds, skipSpecialTokens: false);
            Assert.Equal(Text.Normalize(), Regex.Replace(expanded, expansion, placeholder).Normalize());
            Assert.Equal(InputIds, tokenizer.Encode(expanded));
            Assert.Equal(Generated, tokenizer.Decode(GeneratedIds));

            var stream = new StreamingDetokenizer(tokenizer);
            Assert.Equal(Generated, string.Concat(GeneratedIds.Select(stream.Add)) + stream.Flush());
        }
    }
}
