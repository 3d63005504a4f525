using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

public sealed class ModelLocatorTests
{
    const string Commit = "0123456789abcdef0123456789abcdef01234567";
    const string Other = "fedcba9876543210fedcba9876543210fedcba98";

    /// <summary>Variables as NAME=value, the cache they mean.</summary>
    public static TheoryData<string, string> Environments => new()
    {
        { "HOME=/home/u", "/home/u/.cache/huggingface/hub" },
        { "HOME=/home/u XDG_CACHE_HOME=/x", "/x/huggingface/hub" },
        { "HOME=/home/u XDG_CACHE_HOME=/x HF_HOME=/hf", "/hf/hub" },
        { "HOME=/home/u HF_HOME=~/hf", "/home/u/hf/hub" },
        { "HF_HOME=/hf HUGGINGFACE_HUB_CACHE=/old", "/old" },
        { "HF_HOME=/hf HUGGINGFACE_HUB_CACHE=/old HF_HUB_CACHE=/new", "/new" },
        { "HOME=/home/u HF_HOME= HF_HUB_CACHE=", "/home/u/.cache/huggingface/hub" },
    };

    [Theory, MemberData(nameof(Environments))]
    public void Uses_the_cache_that_huggingface_hub_uses(string variables, string folder)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The rows are paths of Unix.");
        var environment = variables.Split(' ').Select(v => v.Split('=')).ToDictionary(v => v[0], v => v[1]);

        Assert.Equal(folder, HubCache.FromEnvironment(environment.GetValueOrDefault).Folder);
    }

    /// <summary>Model, snapshot it means.</summary>
    [Theory]
    [InlineData("org/name", Commit)]
    [InlineData("org/name@main", Commit)]
    [InlineData("org/name@v1.0", Other)]
    [InlineData("org/name@refs/pr/1", Other)]
    [InlineData("org/name@" + Commit, Commit)]
    [InlineData("org/name@" + Other, Other)]
    public void Finds_a_hub_id_in_the_cache(string model, string commit)
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);

        Assert.Equal(folder.File($"models--org--name/snapshots/{commit}"), ModelLocator.Find(model, cache));
    }

    [Fact]
    public void Finds_an_id_without_an_organisation()
    {
        using var folder = new TemporaryFolder();
        folder.Write("models--gpt2/refs/main", Commit + "\n");
        AddSnapshot(folder, "models--gpt2", Commit);

        Assert.Equal(folder.File($"models--gpt2/snapshots/{Commit}"), ModelLocator.Find("gpt2", new HubCache(folder.Path)));
    }

    [Fact]
    public void An_existing_folder_wins()
    {
        using var folder = new TemporaryFolder();

        var cache = Cache(folder);

        Assert.Equal(folder.Path, ModelLocator.Find(folder.Path, cache));
        Assert.Equal(folder.Path, ModelLocator.Find(Path.GetRelativePath(Environment.CurrentDirectory, folder.Path), cache));
    }

    [Fact]
    public void A_checkpoint_found_in_the_cache_opens()
    {
        using var folder = new TemporaryFolder();
        using var checkpoint = Checkpoint.Open(ModelLocator.Find("org/name", Cache(folder)));

        Assert.Equal(folder.File("models--org--name/blobs/weights"), checkpoint.Tensors["w"].File.ResolvedPath);
    }

    /// <summary>Model, message; {folder} stands for the cache, {here} for the current folder.</summary>
    public static TheoryData<string, string> Faults => new()
    {
        {
            "org/other",
            """
            Model "org/other" was not found. Looked for:
              1. the folder "{here}/org/other": not there
              2. org/other in the Hugging Face cache, "{folder}/models--org--other": not there
            Download it with: hf download org/other
            If it is in another cache, set HF_HUB_CACHE to that folder.
            """
        },
        {
            "org/name@v2",
            """
            Model "org/name@v2" was not found. Looked for:
              1. the folder "{here}/org/name@v2": not there
              2. org/name in the Hugging Face cache, "{folder}/models--org--name": there, but without revision v2
            Download it with: hf download org/name --revision v2
            If it is in another cache, set HF_HUB_CACHE to that folder.
            """
        },
        {
            "/no/such/folder",
            """
            Model "/no/such/folder" was not found. Looked for:
              1. the folder "/no/such/folder": not there
              2. a hub id "org/name" or "org/name@revision": the name is none
            Give a checkpoint folder that exists, or a hub id.
            """
        },
        {
            "org/no-config",
            "Model \"org/no-config\" is in the Hugging Face cache in part only: "
            + $"\"{{folder}}/models--org--no-config/snapshots/{Commit}\" has no config.json. Its download was broken off, or fetched single "
            + "files. Complete it with: hf download org/no-config"
        },
        {
            "org/no-weights",
            "Model \"org/no-weights\" is in the Hugging Face cache in part only: "
            + $"\"{{folder}}/models--org--no-weights/snapshots/{Commit}\" has no model.safetensors or model.safetensors.index.json. "
            + "Its download was broken off, or fetched single files. Complete it with: hf download org/no-weights"
        },
        { "", "No model is named. Give a checkpoint folder, or a hub id such as \"org/name\"." },
        { " ", "No model is named. Give a checkpoint folder, or a hub id such as \"org/name\"." },
        {
            "org/na\nme",
            "Model \"org/na\\u000ame\": the name holds control characters, as neither a folder nor a hub id does. "
            + "Give a checkpoint folder, or a hub id such as \"org/name\"."
        },
    };

    [Theory, MemberData(nameof(Faults))]
    public void Says_where_it_looked_and_what_to_do(string model, string message)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The messages hold paths of Unix.");
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        folder.Write("models--org--no-config/refs/main", Commit);
        folder.Write($"models--org--no-config/snapshots/{Commit}/model.safetensors", "");
        folder.Write("models--org--no-weights/refs/main", Commit);
        folder.Write($"models--org--no-weights/snapshots/{Commit}/config.json", "");
        File.CreateSymbolicLink(folder.File($"models--org--no-weights/snapshots/{Commit}/model.safetensors"), "../../blobs/unfinished");

        var fault = Assert.Throws<ModelNotFoundException>(() => ModelLocator.Find(model, cache));

        Assert.Equal(message.ReplaceLineEndings("\n").Replace("{folder}", folder.Path, StringComparison.Ordinal)
            .Replace("{here}", Environment.CurrentDirectory, StringComparison.Ordinal), fault.Message);
    }

    [Fact]
    public void Says_that_a_file_is_not_a_folder()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("config.json", "{}");

        Assert.Equal($"Model \"{file}\" is a file. Give the folder that holds config.json.",
            Assert.Throws<ModelNotFoundException>(() => ModelLocator.Find(file, Cache(folder))).Message);
    }

    [Theory]
    [InlineData("../outside")]
    [InlineData("org/../../outside")]
    [InlineData("org/name@../../../outside")]
    [InlineData("org/name@..")]
    [InlineData("org/name@/etc")]
    [InlineData("org/name@a@b")]
    [InlineData("org/name@")]
    [InlineData("@main")]
    [InlineData("org//name")]
    [InlineData("org/name/more")]
    [InlineData("org\\name")]
    [InlineData("org--name")]
    [InlineData("C:name")]
    [InlineData("-rf")]
    [InlineData("org/name; rm -rf ~")]
    [InlineData("org/name\u0000")]
    [InlineData("\uD800")]
    public void No_name_leads_out_of_the_cache(string model)
    {
        using var folder = new TemporaryFolder();
        folder.Write("outside/config.json", "{}");
        folder.Write("outside/model.safetensors", "");
        Directory.CreateDirectory(folder.File("hub/models--org--name/snapshots"));
        Directory.CreateDirectory(folder.File("hub/models--org--name/refs"));

        Assert.Throws<ModelNotFoundException>(() => ModelLocator.Find(model, new HubCache(folder.File("hub"))));
    }

    [Theory]
    [InlineData("../../../outside")]
    [InlineData("/etc")]
    [InlineData("..")]
    [InlineData("")]
    public void No_reference_in_the_cache_leads_out_of_it(string reference)
    {
        using var folder = new TemporaryFolder();
        folder.Write("outside/config.json", "{}");
        folder.Write("outside/model.safetensors", "");
        Directory.CreateDirectory(folder.File("hub/models--org--name/snapshots"));
        folder.Write("hub/models--org--name/refs/main", reference);

        Assert.Throws<ModelNotFoundException>(() => ModelLocator.Find("org/name", new HubCache(folder.File("hub"))));
    }

    [Fact]
    public void A_companion_file_is_found_by_id_by_folder_and_by_itself()
    {
        using var folder = new TemporaryFolder();
        folder.Write("models--org--part/refs/main", Commit);
        var file = folder.Write($"models--org--part/snapshots/{Commit}/tokenizer.json", "{}");   // no config.json and no weights beside it
        var cache = new HubCache(folder.Path);

        foreach (var source in (string[])["org/part", $"org/part@{Commit}", Path.GetDirectoryName(file)!, file])
            Assert.Equal(file, ModelLocator.FindFile(source, "tokenizer.json", "Part", cache));
    }

    /// <summary>Source, message; {cache} and {folder} stand for paths of the machine.</summary>
    [Theory]
    [InlineData("org/part", "Part: other.json of org/part is not in the Hugging Face cache \"{cache}\". "
        + "Download it with: hf download org/part other.json\nIf it is in another cache, set HF_HUB_CACHE to that folder.")]
    [InlineData("org/part@v2", "Part: other.json of org/part@v2 is not in the Hugging Face cache \"{cache}\". "
        + "Download it with: hf download org/part other.json --revision v2\nIf it is in another cache, set HF_HUB_CACHE to that folder.")]
    [InlineData("{folder}", "Part: the folder \"{folder}\" has no other.json.")]
    [InlineData("../no/such place", "Part: \"../no/such place\" is no file or folder that exists, and no hub id \"org/name\".")]
    [InlineData("a\0b", "Part: \"a\\u0000b\" is no file or folder that exists, and no hub id \"org/name\".")]
    public void A_companion_file_that_is_not_there_is_named_with_the_way_to_it(string source, string message)
    {
        using var folder = new TemporaryFolder();
        folder.Write("models--org--part/refs/main", Commit);
        folder.Write($"models--org--part/snapshots/{Commit}/tokenizer.json", "{}");
        var cache = new HubCache(folder.Path);
        var place = folder.File($"models--org--part/snapshots/{Commit}");

        var error = Assert.Throws<ModelNotFoundException>(() => ModelLocator.FindFile(source.Replace("{folder}", place), "other.json", "Part", cache));

        Assert.Equal(message.Replace("{cache}", folder.Path).Replace("{folder}", place), error.Message);
    }

    /// <summary>A cache as huggingface_hub lays it out: snapshots of links into blobs.</summary>
    static HubCache Cache(TemporaryFolder folder)
    {
        folder.Write("models--org--name/refs/main", Commit);
        folder.Write("models--org--name/refs/v1.0", Other);
        folder.Write("models--org--name/refs/refs/pr/1", Other);
        AddSnapshot(folder, "models--org--name", Commit);
        AddSnapshot(folder, "models--org--name", Other);
        return new HubCache(folder.Path);
    }

    static void AddSnapshot(TemporaryFolder folder, string model, string commit)
    {
        folder.Write($"{model}/blobs/config", "{}");
        folder.Write($"{model}/blobs/weights", SafetensorsBytes.OneTensor("w", "U8", [1], 7));
        Directory.CreateDirectory(folder.File($"{model}/snapshots/{commit}"));
        File.CreateSymbolicLink(folder.File($"{model}/snapshots/{commit}/config.json"), "../../blobs/config");
        File.CreateSymbolicLink(folder.File($"{model}/snapshots/{commit}/model.safetensors"), "../../blobs/weights");
    }
}
