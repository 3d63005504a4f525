namespace MedVlm.Benchmarks.Synthetic;

/// <summary>A family whose true-size checkpoint can be made, and how large its random weights are.</summary>
/// <param name="Name">As in configs/.</param>
/// <param name="EmbeddingGain">Chosen by trial, with the other two, so that greedy tokens vary and depend on the image.</param>
/// <param name="HeadGain">See <paramref name="EmbeddingGain"/>.</param>
/// <param name="MatrixGain">See <paramref name="EmbeddingGain"/>.</param>
/// <param name="VisionLayers">Path of the vision tower's layers in the checkpoint.</param>
/// <param name="DecoderLayers">Path of the decoder's layers in the checkpoint.</param>
/// <param name="LayerCounts">Keys of config.json that say how many there are, with a dot between the levels.</param>
internal sealed record SyntheticFamily(
    string Name, double EmbeddingGain, double HeadGain, double MatrixGain, string VisionLayers, string DecoderLayers, params string[] LayerCounts)
{
    /// <summary>Layers at the end of the vision tower that the checkpoint holds and nothing reads: CLIP's last one.</summary>
    public int UnreadVisionLayers { get; init; }

    public static IReadOnlyList<SyntheticFamily> All { get; } =
    [
        new("smolvlm", 40, 2, 1.5, "model.vision_model.encoder.layers", "model.text_model.layers", "vision_config.num_hidden_layers", "text_config.num_hidden_layers"),
        new("moondream2", 40, 2, 1, "model.vision.blocks", "model.text.blocks", "config.vision.enc_n_layers", "config.text.n_layers"),
        new("phi3.5-vision", 40, 2, 0.85, "model.vision_embed_tokens.img_processor.vision_model.encoder.layers", "model.layers", "num_hidden_layers")
        {
            UnreadVisionLayers = 1,
        },
        new("llava-med", 40, 2, 0.75, "model.vision_tower.vision_tower.vision_model.encoder.layers", "model.layers", "num_hidden_layers")
        {
            UnreadVisionLayers = 1,
        },
        new("qwen2-vl", 1, 1, 1.5, "visual.blocks", "model.layers", "vision_config.depth", "num_hidden_layers"),
        new("qwen2.5-vl", 1, 1, 1.3, "visual.blocks", "model.layers", "vision_config.depth", "num_hidden_layers"),
        new("blip", 10, 1, 0.8, "vision_model.encoder.layers", "text_decoder.bert.encoder.layer", "vision_config.num_hidden_layers", "text_config.num_hidden_layers"),
    ];

    public static SyntheticFamily Of(string name) => All.FirstOrDefault(family => family.Name == name)
        ?? throw new UsageException($"There is no family \"{name}\". Take one of {string.Join(", ", All.Select(family => family.Name))}.");

    /// <summary>Whether a model of one layer in the vision tower and one in the decoder has this tensor.</summary>
    public bool HasWithOneLayer(string tensor) =>
        LayerOf(tensor, VisionLayers) is not { } vision || vision <= UnreadVisionLayers ? LayerOf(tensor, DecoderLayers) is null or 0 : false;

    static int? LayerOf(string tensor, string layers) => tensor.StartsWith($"{layers}.", StringComparison.Ordinal)
        ? int.Parse(tensor[(layers.Length + 1)..].Split('.')[0], System.Globalization.CultureInfo.InvariantCulture)
        : null;
}
