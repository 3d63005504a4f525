using System.Text.Json;
using System.Text.Json.Serialization;
using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

public sealed partial class CheckpointTests
{
    internal sealed record TestConfig(string ModelType, TestTextConfig TextConfig, int ScaleFactor = 2);

    internal sealed record TestTextConfig(int HiddenSize, double RmsNormEps = 1e-5);

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectRequiredConstructorParameters = true)]
    [JsonSerializable(typeof(TestConfig))]
    internal sealed partial class TestJson : JsonSerializerContext;

    static readonly byte[] OneWeight = SafetensorsBytes.OneTensor("w", "U8", [1], 7);

    [Fact]
    public void Opens_the_checkpoint_of_the_embedded_model()
    {
        using var checkpoint = Checkpoint.Open(TestFolders.TinyModel);

        Assert.NotEmpty(checkpoint.Tensors);
        Assert.True(checkpoint.Has("config.json"));
        Assert.True(checkpoint.Has("tokenizer.json"));
        Assert.False(checkpoint.Has("vocab.txt"));
        Assert.False(checkpoint.Has("../MedVlm.Sdk.TinyModel.csproj"));
        Assert.Equal(
            checkpoint.Tensors.Values.Max(t => t.Offset + t.Length),
            new FileInfo(checkpoint.Tensors.Values.First().File.Path).Length);
    }

    [Fact]
    public void Takes_the_single_file_where_an_index_lies_beside_it()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", "{}");
        folder.Write("model.safetensors", OneWeight);
        folder.Write("model.safetensors.index.json", "{}");

        using var checkpoint = Checkpoint.Open(folder.Path);

        Assert.Equal(["w"], checkpoint.Tensors.Keys);
    }

    [Fact]
    public void Follows_the_links_of_the_hub_cache()
    {
        using var folder = new TemporaryFolder();
        folder.Write("blobs/1", "{}");
        var blob = folder.Write("blobs/2", OneWeight);
        folder.Write("blobs/3", """{"weight_map":{"w":"model-00001-of-00001.safetensors"}}""");
        Directory.CreateDirectory(folder.File("snapshots/abc"));
        File.CreateSymbolicLink(folder.File("snapshots/abc/config.json"), "../../blobs/1");
        File.CreateSymbolicLink(folder.File("snapshots/abc/model-00001-of-00001.safetensors"), "../../blobs/2");
        File.CreateSymbolicLink(folder.File("snapshots/abc/model.safetensors.index.json"), "../../blobs/3");

        using var checkpoint = Checkpoint.Open(folder.File("snapshots/abc"));

        Assert.Equal(blob, checkpoint.Tensors["w"].File.ResolvedPath);
        Assert.Equal([7], checkpoint.Tensors["w"].Bytes(0, 1).ToArray());
    }

    /// <summary>Files that are there, message; {folder} stands for the folder.</summary>
    public static TheoryData<string, string> Incomplete => new()
    {
        {
            "model.safetensors",
            "config.json: there is no such file in \"{folder}\". A checkpoint is the whole folder as the hub serves it: fetch it again."
        },
        {
            "config.json",
            "model.safetensors: the folder \"{folder}\" has neither model.safetensors nor model.safetensors.index.json. "
            + "The download is incomplete: fetch the checkpoint again."
        },
        { "config.json pytorch_model.bin", Pickle },
        { "config.json pytorch_model-00001-of-00002.bin pytorch_model.bin.index.json", Pickle },
    };

    const string Pickle = "pytorch_model.bin: weights in pickle format are never read, because a pickle can run code. Convert them once in "
        + "Python: AutoModelForImageTextToText.from_pretrained(folder).save_pretrained(folder, safe_serialization=True); "
        + "or take a revision of the model that has model.safetensors.";

    [Theory, MemberData(nameof(Incomplete))]
    public void Says_which_file_the_folder_lacks(string files, string message)
    {
        using var folder = new TemporaryFolder();
        foreach (var file in files.Split(' '))
            folder.Write(file, "{}");

        var fault = Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path));

        Assert.Equal(message.Replace("{folder}", folder.Path, StringComparison.Ordinal), fault.Message);
    }

    [Fact]
    public void Says_that_the_folder_is_not_there()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("nothing");

        var fault = Assert.Throws<CheckpointException>(() => Checkpoint.Open(path));

        Assert.Equal($"There is no folder \"{path}\". Give the folder that holds config.json.", fault.Message);
    }

    /// <summary>Index, message after the file's name.</summary>
    public static TheoryData<string, string> Indexes => new()
    {
        {
            """{"weight_map":{"w":"../w.safetensors"}}""",
            "tensor \"w\" is said to be in \"../w.safetensors\", which is not the name of a .safetensors file in this folder. "
            + "Shards elsewhere are never opened: do not use this checkpoint unless you know where it is from."
        },
        {
            """{"weight_map":{"w":"other.safetensors"}}""",
            "tensor \"w\" is said to be in other.safetensors, which is not in the folder. "
            + "The download is incomplete: fetch the checkpoint again."
        },
        {
            """{"weight_map":{"v":"one.safetensors"}}""",
            "tensor \"v\" is said to be in one.safetensors, which does not hold it. "
            + "Index and shards are of different revisions: fetch the checkpoint again."
        },
        { """{"weight_map":{"w":"one.safetensors","w":"one.safetensors"}}""", "tensor \"w\" is there twice. " + FetchAgain },
        { """{"weight_map":{"w":1}}""", "the file of tensor \"w\" is not a string. " + FetchAgain },
        { "[]", "\"weight_map\", an object of tensor names and file names, is missing. " + FetchAgain },
        { "", "the file is empty. " + FetchAgain },
        { "{\n\"weight_map\":", "the file is not valid JSON at line 2, byte 14. " + FetchAgain },
        { """{"weight_map":{"\ud800":"one.safetensors"}}""", "the file holds text that is not valid Unicode. " + FetchAgain },
    };

    const string FetchAgain = "The file is damaged or was cut short: fetch it again.";

    [Theory, MemberData(nameof(Indexes))]
    public void Says_what_is_wrong_with_the_index(string index, string message)
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", "{}");
        folder.Write("one.safetensors", OneWeight);
        folder.Write("model.safetensors.index.json", index);

        var fault = Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path));

        Assert.Equal("model.safetensors.index.json: " + message, fault.Message);
    }

    [Theory]
    [InlineData("NUL.safetensors")]
    [InlineData("com1.x.safetensors")]
    [InlineData("a\u0001.safetensors")]
    [InlineData("a?.safetensors")]
    [InlineData(".../../a.safetensors")]
    [InlineData("././a.safetensors")]
    public void Never_opens_a_shard_by_a_name_that_means_something_else_on_another_system(string shard)
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", "{}");
        folder.Write("model.safetensors.index.json", $$$"""{"weight_map":{"w":"{{{JsonEncodedText.Encode(shard)}}}"}}""");

        Assert.Contains("Shards elsewhere are never opened", Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Reads_json_into_records()
    {
        using var folder = new TemporaryFolder();
        using var checkpoint = Open(folder, """{"model_type":"smolvlm","unknown":[],"text_config":{"hidden_size":64}}""");

        Assert.Equal(new TestConfig("smolvlm", new TestTextConfig(64)), checkpoint.ReadJson("config.json", TestJson.Default.TestConfig));
        Assert.Null(checkpoint.TryReadJson("generation_config.json", TestJson.Default.TestConfig));
        Assert.Equal(
            $"generation_config.json: there is no such file in \"{folder.Path}\". "
            + "A checkpoint is the whole folder as the hub serves it: fetch it again.",
            Assert.Throws<CheckpointException>(() => checkpoint.ReadJson("generation_config.json", TestJson.Default.TestConfig)).Message);
    }

    /// <summary>config.json, message after the file's name.</summary>
    public static TheoryData<string, string> Configs => new()
    {
        { """{"model_type":"smolvlm","text_config":{}}""", MissingKey("text_config.hidden_size") },
        { """{"text_config":{"hidden_size":64}}""", MissingKey("model_type") },
        { """{"model_type":"x","text_config":{"hidden_size":"64"}}""", WrongKind("text_config.hidden_size", "\"\\\"64\\\"\"") },
        { """{"model_type":"x","text_config":{"hidden_size":64.5}}""", WrongKind("text_config.hidden_size", "\"64.5\"") },
        { """{"model_type":"x","text_config":{"hidden_size":99999999999}}""", WrongKind("text_config.hidden_size", "\"99999999999\"") },
        { """{"model_type":"x","text_config":[]}""", WrongKind("text_config", "\"[]\"") },
        { "null", "the file holds only null. " + FetchAgain },
        { "[]", "the file does not hold what the model family asks for. " + FetchAgain },
        { "{", "the file is not valid JSON at line 1, byte 2. " + FetchAgain },
        { """{"model_type":"\ud800","text_config":{"hidden_size":1}}""", "the file holds text that is not valid Unicode. " + FetchAgain },
    };

    static string MissingKey(string key) => $"the key \"{key}\" is missing. The file is not of the model family that it names, or was "
        + "written by hand: take it from the model's own page.";

    static string WrongKind(string key, string value) =>
        $"the key \"{key}\" is {value}, which is not of the kind that the model family asks for. {FetchAgain}";

    [Theory, MemberData(nameof(Configs))]
    public void Says_what_is_wrong_with_the_config(string config, string message)
    {
        using var folder = new TemporaryFolder();
        using var checkpoint = Open(folder, config);

        var fault = Assert.Throws<CheckpointException>(() => checkpoint.ReadJson("config.json", TestJson.Default.TestConfig));

        Assert.Equal("config.json: " + message, fault.Message);
    }

    [Fact]
    public void Refuses_json_of_unreasonable_length_before_it_is_read()
    {
        using var folder = new TemporaryFolder();
        using var checkpoint = Open(folder, "{}");
        using (var sparse = File.OpenWrite(folder.File("config.json")))
            sparse.SetLength(65L << 20);

        var fault = Assert.Throws<CheckpointException>(() => checkpoint.ReadJson("config.json", TestJson.Default.TestConfig));

        Assert.Equal("config.json: the file has 68157440 bytes, more than the 67108864 that a JSON file of a checkpoint may have. "
            + "Take the checkpoint from its original source.", fault.Message);
    }

    [Fact]
    public void Never_waits_for_a_pipe_in_the_folder()
    {
        using var folder = new TemporaryFolder();
        using var checkpoint = Open(folder, "{}");
        File.Delete(folder.File("config.json"));
        folder.MakePipe("config.json");
        folder.MakePipe("pipe.safetensors");

        Assert.Throws<CheckpointException>(() => checkpoint.ReadJson("config.json", TestJson.Default.TestConfig));
        Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.File("pipe.safetensors")));
    }

    static Checkpoint Open(TemporaryFolder folder, string config)
    {
        folder.Write("config.json", config);
        folder.Write("model.safetensors", OneWeight);
        return Checkpoint.Open(folder.Path);
    }
}
