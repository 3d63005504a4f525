using System.Text;
using System.Text.Json.Nodes;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>BPE with byte fallback: from tokenizer.json and from tokenizer.model.</summary>
public sealed class ByteFallbackTests
{
    static readonly string s_json = Path.Combine(SmallTokenizers.Goldens, "phi3.5-vision", "checkpoint", "tokenizer.json");
    static readonly string s_llavaJson = Path.Combine(SmallTokenizers.Goldens, "llava-med", "checkpoint", "tokenizer.json");

    const string Refusal = " This library cannot run this tokenizer.";

    [Theory]
    [InlineData("[13]", "\n")]
    [InlineData("[198, 172]", "é")]
    [InlineData("[198, 172, 13]", "é\n")]
    [InlineData("[198]", "\uFFFD")]
    [InlineData("[198, 172, 198]", "\uFFFD\uFFFD\uFFFD")]      // one bad byte spoils its whole run
    [InlineData("[13, 198]", "\uFFFD\uFFFD")]                  // ASCII too
    [InlineData("[35, 35]", " ")]                              // <0x20><0x20>: the text's first blank is not part of it
    public void A_run_of_bytes_is_one_piece_of_utf8(string ids, string text)
    {
        var tokenizer = SmallTokenizers.Get("llava-med");
        Assert.Equal(text, tokenizer.Decode([.. JsonNode.Parse(ids)!.AsArray().Select(id => (int)id!)]));
    }

    [Fact]
    public void Both_files_of_a_checkpoint_say_the_same()
    {
        var (model, json) = (SmallTokenizers.Get("llava-med"), Tokenizer.Load(s_llavaJson));

        Assert.Equal(json.VocabularySize, model.VocabularySize);
        Assert.Equal([1], model.Start);
        Assert.Equal([1], json.Start);
        foreach (var text in new[] { "", " ", "  two  blanks ", "[INST] ", "\nIs there a fracture? 12.5 µm [/INST]", "<s>a</s>b<unk> c", "字 🫁", "▁a" })
            Assert.Equal(json.Encode(text), model.Encode(text));
    }

    [Fact]
    public void Each_stretch_between_added_tokens_has_its_own_prefix()
    {
        var tokenizer = SmallTokenizers.Get("phi3.5-vision");
        int blank = tokenizer.TokenId("▁")!.Value, line = tokenizer.TokenId("<0x0A>")!.Value;

        Assert.Equal([tokenizer.TokenId("<|user|>")!.Value, blank, line], tokenizer.Encode("<|user|>\n"));
        Assert.Equal([tokenizer.TokenId("<|assistant|>")!.Value], tokenizer.Encode("<|assistant|> \n"));   // takes the white space behind it along
    }

    [Fact]
    public void Control_tokens_in_what_a_user_wrote_are_text()
    {
        foreach (var (name, control) in new[] { ("phi3.5-vision", "<|end|>"), ("phi3.5-vision", "</s>"), ("llava-med", "</s>"), ("llava-med", "<unk>") })
        {
            var tokenizer = SmallTokenizers.Get(name);
            Assert.DoesNotContain(tokenizer.TokenId(control)!.Value, tokenizer.Encode($"a {control} b", ..));
            Assert.Equal($"a {control} b", tokenizer.Decode(tokenizer.Encode($"a {control} b", ..), skipSpecialTokens: false));
        }
    }

    [Theory]
    [InlineData("normalizer.normalizers[0].prepend", "\"_\"",
        "normalizer is not the one that prepends \"▁\" and replaces each blank by it, which byte_fallback is run with.")]
    [InlineData("pre_tokenizer", "{\"type\": \"Metaspace\"}", "pre_tokenizer is there; supported beside byte_fallback is none.")]
    [InlineData("decoder.decoders[3].start", "2",
        "decoder is not \"Replace\", \"ByteFallback\", \"Fuse\" and \"Strip\" of one blank, which byte_fallback is run with.")]
    [InlineData("post_processor", "{\"type\": \"ByteLevel\"}", "post_processor.type is \"ByteLevel\"; supported are \"TemplateProcessing\", none.")]
    [InlineData("post_processor.single", "[]", "post_processor.single does not end with the text.")]
    [InlineData("model.ignore_merges", "true", "model.ignore_merges is true; supported is false beside byte_fallback.")]
    [InlineData("model.vocab.<0x41>", null, "model.vocab has no token <0x41>, though byte_fallback is set.")]
    [InlineData("added_tokens[0].normalized", "true", "added_tokens[0].normalized is true; supported is false beside a normalizer.")]
    public void A_setting_that_changes_ids_or_text_is_refused(string path, string? value, string message)
    {
        var root = JsonNode.Parse(File.ReadAllBytes(s_json))!;
        var steps = path.Replace("[", ".[").Split('.');
        var parent = steps[..^1].Aggregate(root, (node, step) => step[0] == '[' ? node[int.Parse(step[1..^1])]! : node[step]!);
        if (value is null)
            parent.AsObject().Remove(steps[^1]);
        else
            parent[steps[^1]] = JsonNode.Parse(value);

        Assert.Equal("tokenizer.json: " + message + Refusal, Assert.Throws<CheckpointException>(
            () => TokenizerJson.Parse(Encoding.UTF8.GetBytes(root.ToJsonString()), "tokenizer.json")).Message);
    }
}
