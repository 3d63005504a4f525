using System.Text.Json;
using MedVlm.Evaluation.BertScore;
using MedVlm.Evaluation.BertScore.Encoders;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tokenizers;
using static MedVlm.Evaluation.Tests.BertScore.EncoderGolden;

namespace MedVlm.Evaluation.Tests.BertScore;

public sealed class EncoderTokenizerTests
{
    public static TheoryData<string> WithTokenizerJson => Names("tokenizer.fast.json");

    /// <summary>The same ids, as the tokenizers library confirms; truncation and padding in the file are not applied.</summary>
    [Theory(SkipTestWithoutData = true), MemberData(nameof(WithTokenizerJson)), Trait("Category", "Golden")]
    public async Task A_tokenizer_json_gives_the_same_ids(string name)
    {
        var golden = new EncoderGolden(name);
        using var folder = new TemporaryFolder();
        foreach (var file in (string[])["config.json", "model.safetensors", "tokenizer_config.json"])
            File.Copy(golden.PathOf(file), folder.File(file));
        File.Copy(golden.PathOf("tokenizer.fast.json"), folder.File("tokenizer.json"));

        await using var encoder = await BertScoreEncoder.LoadAsync(folder.Path, layer: 0, threads: 1, TestContext.Current.CancellationToken);

        foreach (var (text, ids) in golden.Tokens())
            Assert.Equal(ids, encoder.Tokenizer.Encode(text));
    }

    static JsonElement MetricPairs()
    {
        var path = Path.Combine(TestFolders.Goldens, "components", "metrics", "metrics.json");
        Assert.SkipUnless(File.Exists(path), "This goldens folder has no metrics.");
        return JsonDocument.Parse(File.ReadAllBytes(path)).RootElement.GetProperty("pairs");
    }

    /// <summary>BLIP's vocabulary is BERT's, with two tokens more: so are MiniLM's ids.</summary>
    static EncoderTokenizer Uncased()
    {
        var path = TestFolders.Shared("tokenizers", "blip", "vocab.txt");
        Assert.SkipWhen(path is null, "The vocab.txt of blip is third-party and not beside this checkout.");
        return new EncoderTokenizer(Tokenizer.Load(path!), prefixBlank: false, maxTokens: 512);
    }

    [Fact, Trait("Category", "Golden")]
    public void Captions_have_the_ids_of_MiniLM()
    {
        var (pairs, tokenizer) = (MetricPairs(), Uncased());
        foreach (var pair in pairs.EnumerateArray())
        {
            Assert.Equal(Ints(pair.GetProperty("minilm_ids_ref")), tokenizer.Encode(pair.GetProperty("refs")[0].GetString()!));
            Assert.Equal(Ints(pair.GetProperty("minilm_ids_cand")), tokenizer.Encode(pair.GetProperty("cand").GetString()!));
        }
    }

    [Fact, Trait("Category", "Golden")]
    public void Normalised_references_have_the_reference_s_document_frequencies()
    {
        var (pairs, tokenizer) = (MetricPairs(), Uncased());
        using var idf = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.Goldens, "components", "metrics", "idf.json")));
        var clef = idf.RootElement.GetProperty("clef");

        var weights = TokenWeights.InverseDocumentFrequency(
            pairs.EnumerateArray().Select(pair => tokenizer.Encode(pair.GetProperty("clef_ref").GetString()!)));

        Assert.Equal(clef.GetProperty("default").GetDouble(), weights[-1], 1e-12);
        Assert.All(clef.GetProperty("idf").EnumerateObject(), entry => Assert.Equal(entry.Value.GetDouble(), weights[int.Parse(entry.Name)], 1e-12));
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \t\n\u00A0\u3000\u001C\u001F ")]
    public void White_space_alone_is_no_token(string text) => Assert.Equal([101, 102], Uncased().Encode(text));

    [Fact]
    public void Damaged_files_are_refused()
    {
        byte[] File(string name, string file) => System.IO.File.ReadAllBytes(Path.Combine(Checkpoint(name), file));

        Fuzz.Run<CheckpointException>([File("deberta-v3", "spm.model")], bytes => Use(UnigramFile.Parse(bytes, "spm.model", lowercase: false)));
        Fuzz.Run<CheckpointException>([File("deberta-v3", "tokenizer.fast.json")], bytes => Use(TokenizerJson.Parse(bytes, "tokenizer.json")));
        var (vocabulary, merges) = (File("deberta", "vocab.json"), File("deberta", "merges.txt"));
        Fuzz.Run<CheckpointException>([merges], bytes => Use(MergesText.Parse(vocabulary, bytes)));
        Fuzz.Run<CheckpointException>([vocabulary], bytes => Use(MergesText.Parse(bytes, merges)));

        static void Use(Tokenizer tokenizer) => tokenizer.Encode("Axial CT, 3.5 cm ﬁbrosis ＣＴ 胸部 é");
    }
}
