using System.Text;
using System.Text.Json.Nodes;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>What is understood of a tokenizer.json, and what is said about one that is wrong.</summary>
public sealed class TokenizerJsonTests
{
    const string Advice = " The file is damaged: take it anew from the checkpoint's source.";
    const string Refusal = " This library cannot run this tokenizer.";

    [Theory]
    [InlineData("model.type", "\"WordLevel\"", "model.type is \"WordLevel\"; supported are \"BPE\", \"WordPiece\", \"Unigram\"." + Refusal)]
    [InlineData("model", "[]", "model is an array; expected is an object." + Advice)]
    [InlineData("model", null, "model is missing; expected is an object." + Advice)]
    [InlineData("model.dropout", "0.1", "model.dropout is 0.1; supported is none." + Refusal)]
    [InlineData("model.byte_fallback", "1", "model.byte_fallback is 1; expected is true or false." + Advice)]
    [InlineData("model.byte_fallback", "true",
        "normalizer is not the one that prepends \"▁\" and replaces each blank by it, which byte_fallback is run with." + Refusal)]
    [InlineData("model.ignore_merges", "1", "model.ignore_merges is 1; expected is true or false." + Advice)]
    [InlineData("model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix is \"</w>\"; supported is none." + Refusal)]
    [InlineData("model.unk_token", "\"b\"", "model.unk_token is \"b\"; supported is none where a byte has no token." + Refusal)]
    [InlineData("model.vocab", null, "model.vocab is missing; expected is an object." + Advice)]
    [InlineData("model.vocab", "{}", "model.vocab is empty." + Advice)]
    [InlineData("model.vocab.a", "-1", "model.vocab.a is -1; expected is a whole number from 0 to 4194303." + Advice)]
    [InlineData("model.vocab.a", "4194304", "model.vocab.a is 4194304; expected is a whole number from 0 to 4194303." + Advice)]
    [InlineData("model.vocab.b", "0", "model.vocab.b is 0, which \"a\" has already." + Advice)]
    [InlineData("model.merges", "{}", "model.merges is an object; expected is an array." + Advice)]
    [InlineData("model.merges", "[\"a b\", \"ab\"]", "model.merges[1] is \"ab\"; expected is a pair of tokens without blanks." + Advice)]
    [InlineData("model.merges", "[[\"a\", \"b\", \"c\"]]",
        "model.merges[0] is an array; expected is a pair of tokens without blanks." + Advice)]
    [InlineData("model.merges", "[[\"a\", 1]]", "model.merges[0][1] is 1; expected is text." + Advice)]
    [InlineData("model.merges", "[\"b a\"]", "model.merges[0] needs the token \"ba\", which model.vocab lacks." + Advice)]
    [InlineData("model.merges", "[\"a b\", \"a b\"]", "model.merges[1] repeats the merge of \"a\" and \"b\"." + Advice)]
    [InlineData("normalizer", "{\"type\": \"Lowercase\"}",
        "normalizer.type is \"Lowercase\"; supported are \"NFC\", no normalizer." + Refusal)]
    [InlineData("pre_tokenizer", null, "pre_tokenizer is missing; expected is an object." + Advice)]
    [InlineData("pre_tokenizer", "{\"type\": \"Metaspace\"}",
        "pre_tokenizer.type is \"Metaspace\"; supported are \"ByteLevel\", \"Digits\", \"Sequence\", \"Split\"." + Refusal)]
    [InlineData("pre_tokenizer", "{\"type\": \"Digits\", \"individual_digits\": true}",
        "pre_tokenizer does not have one \"ByteLevel\", at its end." + Refusal)]
    [InlineData("pre_tokenizer.add_prefix_space", "true", "pre_tokenizer.add_prefix_space is true; supported is false." + Refusal)]
    [InlineData("pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[0-9]+\"}, "
        + "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false}]}",
        "pre_tokenizer.pretokenizers[0].pattern.Regex is \"[0-9]+\"; supported are the pattern of GPT-2, the pattern of Qwen2, groups of three digits." + Refusal)]
    [InlineData("post_processor", "{\"type\": \"TemplateProcessing\"}",
        "post_processor.type is \"TemplateProcessing\"; supported are \"ByteLevel\", none." + Refusal)]
    [InlineData("decoder", null, "decoder is missing; supported is \"ByteLevel\"." + Refusal)]
    [InlineData("added_tokens[0].content", "\"\"", "added_tokens[0].content is \"\"; expected is text that is not empty." + Advice)]
    [InlineData("added_tokens[0].content", "\"a\"", "added_tokens[0].id is 3, but \"a\" is 0 in model.vocab." + Advice)]
    [InlineData("added_tokens[0].id", "1", "added_tokens[0].id is 1, which \"b\" has already." + Advice)]
    [InlineData("added_tokens[0].lstrip", null, "added_tokens[0].lstrip is missing; expected is true or false." + Advice)]
    [InlineData("added_tokens[1].content", "\"<s>\"", "added_tokens[1].content is \"<s>\", as in an entry before it." + Advice)]
    [InlineData("added_tokens[1].id", "3", "added_tokens[1].id is 3, which \"<s>\" has already." + Advice)]
    public void A_fault_is_named_with_its_key(string path, string? value, string message)
    {
        var json = Change(path, value);
        Assert.Equal("tokenizer.json: " + message, Fault(json));
    }

    [Theory]
    [InlineData("{\"model\": ", "no valid JSON, or a key stands twice in it (line 1, byte 11)." + Advice)]
    [InlineData("{\"a\": 1, \"a\": 2}", "no valid JSON, or a key stands twice in it." + Advice)]
    [InlineData("[]", "the file holds an array, but a tokenizer is an object.")]
    [InlineData("{\"model\": {\"type\": \"\\ud800\"}}", "model.type is no Unicode text; expected is text." + Advice)]
    public void A_file_that_is_no_tokenizer_at_all_is_refused(string json, string message) =>
        Assert.Equal("tokenizer.json: " + message, Fault(json));

    [Fact]
    public void A_missing_file_is_named_without_its_folder()
    {
        var path = Path.Combine(TestFolders.Repository, "Rö 胸部", "tokenizer.json");
        Assert.Equal("tokenizer.json: not in the checkpoint's folder. Download the checkpoint completely.",
            Assert.Throws<CheckpointException>(() => Tokenizer.Load(path)).Message);
    }

    [Fact]
    public void A_sequence_of_endless_steps_is_refused()
    {
        var digits = string.Join(',', Enumerable.Repeat("{\"type\": \"Digits\", \"individual_digits\": true}", 100_000));
        var json = Change("pre_tokenizer", $"{{\"type\": \"Sequence\", \"pretokenizers\": [{digits}]}}");
        Assert.Equal("tokenizer.json: pre_tokenizer has more than 8 steps." + Advice, Fault(json));
    }

    [Fact]
    public void A_word_that_is_a_token_needs_no_merges_where_they_are_ignored()
    {
        Assert.Equal([0, 1], Parse(Change("model.merges", "[]")).Encode("ab"));
        Assert.Equal([2], Parse(Change("model.merges", "[]").Replace("\"ignore_merges\":false", "\"ignore_merges\":true")).Encode("ab"));
    }

    [Fact]
    public void Ids_tokens_and_kinds_are_told()
    {
        var tokenizer = Parse(Change("model.dropout", null));

        Assert.Equal(5, tokenizer.VocabularySize);
        Assert.Equal(2, tokenizer.TokenId("ab"));
        Assert.Equal(3, tokenizer.TokenId("<s>"));
        Assert.Null(tokenizer.TokenId("<t>"));
        Assert.True(tokenizer.IsSpecial(3));
        Assert.False(tokenizer.IsSpecial(4));
        Assert.Equal([3, 2, 4], tokenizer.Encode("<s>ab<tool>"));
        Assert.Equal("ab<tool>", tokenizer.Decode([3, 2, 4, 99, -1]));
        Assert.Equal("<s>ab<tool>", tokenizer.Decode([3, 2, 4], skipSpecialTokens: false));
    }

    /// <summary>A small, right tokenizer with one value changed; null removes it.</summary>
    static string Change(string path, string? value)
    {
        var root = JsonNode.Parse("""
            {
              "added_tokens": [
                { "id": 3, "content": "<s>", "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false },
                { "id": 4, "content": "<tool>", "special": false, "normalized": true, "lstrip": false, "rstrip": false,
                  "single_word": false }
              ],
              "normalizer": null,
              "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "use_regex": true },
              "post_processor": null,
              "decoder": { "type": "ByteLevel" },
              "model": { "type": "BPE", "dropout": null, "ignore_merges": false, "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": ["a b"] }
            }
            """)!;
        var steps = path.Replace("[", ".[").Split('.');
        var parent = steps[..^1].Aggregate(root, (node, step) => step[0] == '[' ? node[int.Parse(step[1..^1])]! : node[step]!);
        if (value is null)
            parent.AsObject().Remove(steps[^1]);
        else
            parent[steps[^1]] = JsonNode.Parse(value);
        return root.ToJsonString();
    }

    static Tokenizer Parse(string json) => TokenizerJson.Parse(Encoding.UTF8.GetBytes(json), "tokenizer.json");

    static string Fault(string json) => Assert.Throws<CheckpointException>(() => Parse(json)).Message;
}
