using System.Text.Json;
using MedVlm.Checkpoints;
using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Models;

/// <summary>
/// A family at its published size, without weights: configuration and tensor list of tests/configs, and the small tokenizer of its goldens
/// or the published one.
/// </summary>
internal sealed record FullSizeModel(ModelFamily Family, ModelGraphs Graphs, Func<string, (int Rank, long Bytes)> Stored)
{
    static readonly string s_smolVlm = Path.Combine(TestFolders.Repository, "tests", "MedVlm.Sdk.Benchmarks", "configs", "smolvlm");

    /// <summary>Families whose configuration is in this repository and whose family is registered.</summary>
    public static IEnumerable<string> Families =>
        Directory.EnumerateDirectories(Path.Combine(TestFolders.Repository, "tests", "configs")).Where(folder => File.Exists(Path.Combine(folder, "tensors.json")))
            .Append(s_smolVlm).Select(folder => Path.GetFileName(folder)!).Distinct().Order(StringComparer.Ordinal);

    public static FullSizeModel Of(
        string family, string? tokenizerFolder = null, Precision precision = Precision.Fp32, DeviceKind device = DeviceKind.Cpu)
    {
        var configs = family == "smolvlm" ? s_smolVlm : TensorList.Configs(family);
        var goldens = Path.Combine(TestFolders.Repository, "tests", "goldens", family, "checkpoint");

        using var folder = new TemporaryFolder();
        foreach (var file in Directory.EnumerateFiles(goldens).Where(file => !Path.GetFileName(file).Contains("safetensors", StringComparison.Ordinal)))
            folder.Write(Path.GetFileName(file), File.ReadAllBytes(file));
        foreach (var name in (string[])["config.json", "preprocessor_config.json", "generation_config.json"])
            if (File.Exists(Path.Combine(configs, name)))
                folder.Write(name, File.ReadAllBytes(Path.Combine(configs, name)));

        // Moondream2 publishes an empty configuration, and its tokenizer elsewhere.
        string? tokenizer = null;
        if (family == "moondream2")
        {
            folder.Write("config.json", $$"""{"model_type": "moondream1", "config": {{File.ReadAllText(Path.Combine(configs, "defaults.json"))}}}""");
            tokenizer = tokenizerFolder ?? Path.Combine(goldens, "..", "starmie-v1");
        }
        else if (tokenizerFolder is not null)
            foreach (var file in Directory.EnumerateFiles(tokenizerFolder).Where(file => !file.EndsWith(".md", StringComparison.Ordinal)))
                folder.Write(Path.GetFileName(file), File.ReadAllBytes(file));

        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(configs, "tensors.json")));
        var stored = json.RootElement.EnumerateObject().ToDictionary(
            tensor => tensor.Name, tensor => (Dtype: tensor.Value[0].GetString(), Shape: tensor.Value[1].EnumerateArray().Select(size => size.GetInt64()).ToArray()));

        // Some families read sizes of their vision tower off its tensors.
        TensorList.WriteZeros(folder.File("model.safetensors"), stored.Select(
            tensor => KeyValuePair.Create(tensor.Key, new WeightInfo("model.safetensors", tensor.Value.Shape))));
        using var checkpoint = Checkpoint.Open(folder.Path);
        var model = ModelRegistry.Create(new ModelSource(checkpoint, TokenizerSource: tokenizer));
        var graphs = ModelGraphs.Build(model, stored.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo("model.safetensors", tensor.Value.Shape)), precision, device);
        return new FullSizeModel(model, graphs, name =>
        {
            var (dtype, shape) = stored[name];
            return (shape.Length, shape.Aggregate(dtype == "F32" ? 4L : 2L, (bytes, size) => bytes * size));
        });
    }

    /// <summary>What a plan is made from; the caption is the one given, since the small tokenizer counts other tokens.</summary>
    public ModelFootprint Footprint(CaptionFootprint caption) => ModelFootprint.Of(Family, Graphs, Stored, caption);
}
