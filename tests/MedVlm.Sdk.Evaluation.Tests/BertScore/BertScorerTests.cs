using MedVlm.Tests.Checkpoints;
using static MedVlm.Evaluation.Tests.BertScore.EncoderGolden;

namespace MedVlm.Evaluation.Tests.BertScore;

public sealed class BertScorerTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static Task<BertScoreEncoder> Load(string name = "bert", int layer = 2) => BertScoreEncoder.LoadAsync(Checkpoint(name), layer, threads: 1, Token);

    static async Task<double[]> F1(BertScorer scorer, params CaptionPair[] pairs) => [.. (await scorer.ScoreAsync(pairs, Token))[2].PerPair];

    [Fact]
    public async Task Names_say_what_is_counted()
    {
        await using var encoder = await Load();
        Assert.Equal(["BERTScore P", "BERTScore R", "BERTScore F1"], new BertScorer(encoder).Names);
        Assert.Equal(["BERTScore-IDF P", "BERTScore-IDF R", "BERTScore-IDF F1"], new BertScorer(encoder, new() { Idf = true }).Names);
        Assert.Equal("CLEF BERTScore F1", new BertScorer(encoder, new() { Name = "CLEF BERTScore" }).Names[2]);
    }

    [Fact]
    public async Task A_set_scores_as_its_pairs_do_alone_and_in_any_order()
    {
        await using var encoder = await Load("deberta-v3");
        var scorer = new BertScorer(encoder);
        CaptionPair[] pairs =
        [
            new("a", ["Chest radiograph with a nodule."], "A nodule in the chest."), new("b", ["Axial CT of the abdomen."], "Axial CT."),
            new("c", ["Chest radiograph with a nodule."], ""), new("d", ["", "Frontal view."], "Frontal view of the hand, with no fracture."),
        ];

        var together = await F1(scorer, pairs);
        var turned = await F1(scorer, [.. pairs.Reverse()]);

        for (int i = 0; i < pairs.Length; i++)
        {
            Assert.Equal((await F1(scorer, pairs[i]))[0], together[i], 1e-6);
            Assert.Equal(turned[^(i + 1)], together[i], 1e-6);
        }
        Assert.Equal(0, together[2]);
    }

    [Fact]
    public async Task The_best_of_several_references_counts()
    {
        await using var encoder = await Load();
        var scorer = new BertScorer(encoder);
        var (near, far, candidate) = ("Axial CT of the chest.", "Bone.", "Axial CT of the abdomen.");

        double best = (await F1(scorer, new CaptionPair("1", [near], candidate)))[0];

        Assert.True(best > (await F1(scorer, new CaptionPair("1", [far], candidate)))[0]);
        Assert.Equal(best, (await F1(scorer, new CaptionPair("1", [far, near], candidate)))[0], 1e-6);
    }

    [Fact]
    public async Task Texts_are_normalised_first_and_two_empty_ones_may_score()
    {
        await using var encoder = await Load();
        var scorer = new BertScorer(encoder, new() { Normalize = text => text.Replace("XYZ", "", StringComparison.Ordinal), BothEmpty = 1 });

        Assert.Equal(
            new double[] { 1, 1, 0 },
            (await F1(scorer, new("same", ["Axial CT"], "Axial XYZCT"), new("empty", [""], ""), new("empty only after", ["XYZ"], "XYZ"))).Select(f1 => Math.Round(f1, 5)));
        Assert.Equal(0, Assert.Single(await F1(new BertScorer(encoder), new CaptionPair("empty", [""], ""))));
    }

    [Fact]
    public async Task A_long_set_in_several_chunks_gives_each_pair_its_score()
    {
        await using var encoder = await Load(layer: 0);
        var scorer = new BertScorer(encoder);
        var random = new Random(7);
        string[] words = ["axial", "ct", "chest", "nodule", "left", "right", "lobe", "with", "no", "fracture"];
        CaptionPair[] pairs = [.. Enumerable.Range(0, 2500).Select(i => new CaptionPair($"{i}", [Text()], Text()))];

        var all = await F1(scorer, pairs);

        int distinct = pairs.SelectMany(pair => pair.References.Append(pair.Candidate)).Distinct().Count();
        Assert.InRange(distinct, 3000, 4990);
        Assert.Equal(distinct, encoder.TextsEncoded);   // what stands in the set twice is encoded once, in whatever chunk it comes again
        foreach (int i in (int[])[0, 1, 1234, 2499])
            Assert.Equal((await F1(scorer, pairs[i]))[0], all[i], 1e-5);

        string Text() => string.Join(' ', Enumerable.Range(0, random.Next(1, 24)).Select(_ => words[random.Next(words.Length)]));
    }

    [Fact]
    public async Task References_of_unequal_lengths_take_no_more_memory_than_one()
    {
        await using var encoder = await Load(layer: 0);
        var scorer = new BertScorer(encoder);
        CaptionPair[] pairs = [.. Enumerable.Range(0, 2000).Select(i => new CaptionPair($"{i}", ["ct", Long(i, "chest")], Long(i, "nodule")))];

        await scorer.ScoreAsync(pairs, Token);

        Assert.InRange(scorer.MostTokens, 1, (1 << 16) + 2 * encoder.MaxTokens);   // one chunk, which its last comparison may exceed
        Assert.InRange(encoder.MaxTokens, 40, 60);   // the long texts are cut to it, so that all have more than two chunks would
        Assert.Equal(4001, encoder.TextsEncoded);

        static string Long(int i, string word) => $"{i} " + string.Join(' ', Enumerable.Repeat(word, 59));
    }

    [Fact]
    public async Task Work_ends_when_asked()
    {
        await using var encoder = await Load();
        using var stop = new CancellationTokenSource();
        var scorer = new BertScorer(encoder, new() { Normalize = text => { stop.Cancel(); return text; } });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => scorer.ScoreAsync([new("1", ["a"], "b")], stop.Token).AsTask());
        Assert.Throws<OperationCanceledException>(() => encoder.Encode([[2, 5, 3]], new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task Many_threads_may_score_with_one_encoder()
    {
        await using var encoder = await Load("deberta");
        var scorer = new BertScorer(encoder, new() { Idf = true });
        CaptionPair[] pairs = [new("a", ["Chest radiograph with a nodule."], "A nodule."), new("b", ["Axial CT of the abdomen."], "Axial CT.")];
        var expected = await F1(scorer, pairs);

        var all = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => F1(scorer, pairs)));

        Assert.All(all, scores => Assert.Equal(expected, scores));
    }

    [Fact]
    public async Task A_model_that_bert_score_does_not_list_needs_a_layer()
    {
        var folder = Checkpoint("bert");
        var unknown = await Assert.ThrowsAsync<ArgumentException>(() => BertScoreEncoder.LoadAsync(folder, cancellationToken: Token));
        Assert.Equal(
            $"BERTScore compares the hidden states of one layer, and none is known for {folder}: give layer (1 to 3; its authors' choice, or 3 for the last). (Parameter 'layer')",
            unknown.Message);
        var beyond = await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => BertScoreEncoder.LoadAsync(folder, 4, cancellationToken: Token));
        Assert.StartsWith($"{folder} has 3 layers (num_hidden_layers of config.json): give a layer from 0, the embeddings, to 3.", beyond.Message);
    }

    [Fact]
    public async Task A_folder_of_a_listed_model_s_name_has_its_layer()
    {
        using var folder = new TemporaryFolder();
        Copy("bert", folder.File("deberta-v3-small"));   // 4: more than this one has
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => BertScoreEncoder.LoadAsync(folder.File("deberta-v3-small"), cancellationToken: Token));
    }

    [Theory]
    [InlineData("microsoft/deberta-xlarge-mnli", 40)]
    [InlineData("google-bert/bert-base-uncased", 9)]
    [InlineData("FacebookAI/roberta-large@main", 17)]
    [InlineData("FacebookAI/roberta-large@refs/pr/3", 17)]
    [InlineData("roberta-large", 17)]
    [InlineData("sentence-transformers/all-MiniLM-L6-v2", null)]
    public void Layers_are_those_of_bert_score(string model, int? layer) => Assert.Equal(layer, MedVlm.Evaluation.BertScore.ScoringLayers.Find(model));

    [Theory]
    [InlineData("scibert_scivocab_uncased/", 8)]
    [InlineData("roberta-large@main", 17)]
    [InlineData("me@lab/roberta-large", 17)]
    [InlineData("me@lab/roberta-large/.", 17)]
    [InlineData("bert-base-uncased@v2/my-encoder", null)]
    public void The_layer_of_a_folder_is_that_of_its_own_name(string path, int? layer)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File(path));
        Assert.Equal(layer, MedVlm.Evaluation.BertScore.ScoringLayers.Find(folder.File(path)));
    }

    [Theory]
    [InlineData("deberta-v3")]
    [InlineData("deberta")]
    public async Task More_tokens_than_distances_can_be_computed_of_are_refused(string name)
    {
        using var folder = new TemporaryFolder();
        Copy(name, folder.Path);
        var config = File.ReadAllText(folder.File("config.json"));
        Assert.Contains("\"max_position_embeddings\": 64", config);
        File.WriteAllText(folder.File("config.json"), config.Replace("\"max_position_embeddings\": 64", "\"max_position_embeddings\": 8193"));

        var refused = await Assert.ThrowsAsync<UnsupportedModelException>(() => BertScoreEncoder.LoadAsync(folder.Path, 1, cancellationToken: Token));
        Assert.Equal(
            "config.json: max_position_embeddings is 8193; BERTScore runs this family on 8192 tokens at most, since memory grows with the square of their number. "
            + "Take another encoder (docs/bertscore.md lists what runs).", refused.Message);
    }

    [Fact]
    public async Task As_many_tokens_as_distances_can_be_computed_of_are_taken()
    {
        using var folder = new TemporaryFolder();
        Copy("deberta-v3", folder.Path);
        File.WriteAllText(
            folder.File("config.json"), File.ReadAllText(folder.File("config.json")).Replace("\"max_position_embeddings\": 64", "\"max_position_embeddings\": 8192"));
        File.Delete(folder.File("tokenizer_config.json"));   // it has a lower limit
        await using var encoder = await BertScoreEncoder.LoadAsync(folder.Path, 1, threads: 1, Token);
        Assert.Equal(8192, encoder.MaxTokens);
    }

    [Theory]
    [InlineData("\"model_type\": \"bert\"", "\"model_type\": \"gpt2\"",
        "config.json: model_type is gpt2, of which BERTScore has no encoder. It has: bert, roberta, deberta, deberta-v2 (docs/bertscore.md).")]
    [InlineData("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"",
        "config.json: hidden_act is relu, which BERTScore does not compute: its scores would differ from the reference's. Take another encoder (docs/bertscore.md lists what runs).")]
    [InlineData("\"intermediate_size\": 48", "\"intermediate_size\": 64",
        "model.safetensors: tensor \"bert.encoder.layer.0.intermediate.dense.bias\" is [48], but config.json (intermediate_size) asks for [64]. Checkpoint and config.json are of different models: take both from one revision.")]
    [InlineData("\"vocab_size\": 470", "\"vocab_size\": 12",
        "model.safetensors: tensor \"bert.embeddings.word_embeddings.weight\" is [470, 32], but config.json (vocab_size) asks for [12, 32]. Checkpoint and config.json are of different models: take both from one revision.")]
    public async Task A_checkpoint_that_is_not_computed_is_refused(string setting, string other, string message)
    {
        using var folder = new TemporaryFolder();
        Copy("bert", folder.Path);
        var config = File.ReadAllText(folder.File("config.json"));
        Assert.Contains(setting, config);
        File.WriteAllText(folder.File("config.json"), config.Replace(setting, other));

        var refused = await Assert.ThrowsAnyAsync<MedVlmException>(() => BertScoreEncoder.LoadAsync(folder.Path, 1, cancellationToken: Token));
        Assert.Equal(message, refused.Message);
    }

    [Fact]
    public async Task A_checkpoint_without_tokenizer_is_refused()
    {
        using var folder = new TemporaryFolder();
        Copy("bert", folder.Path);
        File.Delete(folder.File("vocab.txt"));
        var refused = await Assert.ThrowsAsync<CheckpointException>(() => BertScoreEncoder.LoadAsync(folder.Path, 1, cancellationToken: Token));
        Assert.Equal(
            "The checkpoint has no tokenizer: neither spm.model, nor vocab.json with merges.txt, nor vocab.txt, nor tokenizer.json. "
            + "The download is incomplete: fetch the checkpoint again.", refused.Message);
    }

    [Fact]
    public async Task Weights_in_pickle_format_are_never_read()
    {
        using var folder = new TemporaryFolder();
        Copy("bert", folder.Path);
        File.Move(folder.File("model.safetensors"), folder.File("pytorch_model.bin"));
        var refused = await Assert.ThrowsAsync<CheckpointException>(() => BertScoreEncoder.LoadAsync(folder.Path, 1, cancellationToken: Token));
        Assert.Contains("AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)", refused.Message);
    }

    [Theory]
    [InlineData("LAYER,P,R,F\n0,0.1,0.2,0.3\n2,0.5,0.5,0.5\n", null)]
    [InlineData("LAYER\tP\tR\tF\r\n2\t0.5\t0.5\t0.5\r\n", null)]
    [InlineData("a,b\n", "baseline.tsv: the first line is not \"LAYER,P,R,F\". It is no baseline file of bert-score (rescale_baseline in its repository).")]
    [InlineData("LAYER,P,R,F\n2,0.5,0.5,1\n", "baseline.tsv: line 2 is no layer and three numbers below 1. The file is damaged: take it anew from bert-score's repository.")]
    [InlineData("LAYER,P,R,F\n1,0.5,0.5,0.5\n", "baseline.tsv: there is no line for layer 2. The file is of another model: take the one of the encoder's own name.")]
    public async Task A_baseline_file_is_read_or_refused(string content, string? message)
    {
        await using var encoder = await Load();
        using var folder = new TemporaryFolder();
        var options = new BertScorerOptions { BaselinePath = folder.Write("baseline.tsv", content) };
        if (message is not null)
            Assert.Equal(message, Assert.Throws<CheckpointException>(() => new BertScorer(encoder, options)).Message);
        else
            Assert.Equal(-1, Assert.Single(await F1(new BertScorer(encoder, options), new CaptionPair("1", ["a"], ""))));   // (0 - 0.5) / (1 - 0.5)
    }

    [Theory]
    [InlineData("deberta-v2", "config.json")]
    [InlineData("deberta-v2-absolute", "tokenizer_config.json")]
    public void Damaged_configurations_are_refused_or_run(string name, string file)
    {
        using var folder = new TemporaryFolder();
        Copy(name, folder.Path);
        Fuzz.Run<MedVlmException>([File.ReadAllBytes(folder.File(file))], bytes =>
        {
            File.WriteAllBytes(folder.File(file), bytes);
            using var encoder = BertScoreEncoder.LoadAsync(folder.Path, layer: 1, threads: 1, Token).GetAwaiter().GetResult();
            encoder.Encode([encoder.Tokenizer.Encode("Axial CT of the chest, no fracture.")], Token);
        });
    }

    static void Copy(string name, string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (var file in Directory.GetFiles(Checkpoint(name)))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
    }
}
