namespace MedVlm.Benchmarks.Synthetic;

/// <summary>A family whose true-size checkpoint can be made, and how large its random weights are.</summary>
/// <param name="Name">As in configs/.</param>
/// <param name="EmbeddingGain">Chosen by trial, with the other two, so that greedy tokens vary and depend on the image.</param>
/// <param name="HeadGain">See <paramref name="EmbeddingGain"/>.</param>
/// <param name="MatrixGain">See <paramref name="EmbeddingGain"/>.</param>
internal sealed record SyntheticFamily(string Name, double EmbeddingGain, double HeadGain, double MatrixGain)
{
    public static IReadOnlyList<SyntheticFamily> All { get; } =
    [
        new("smolvlm", 40, 2, 1.5), new("moondream2", 40, 2, 1), new("phi3.5-vision", 40, 2, 0.85), new("llava-med", 40, 2, 0.75),
        new("qwen2-vl", 1, 1, 1.5), new("qwen2.5-vl", 1, 1, 1.3), new("blip", 10, 1, 0.8),
    ];

    public static SyntheticFamily Of(string name) => All.FirstOrDefault(family => family.Name == name)
        ?? throw new UsageException($"There is no family \"{name}\". Take one of {string.Join(", ", All.Select(family => family.Name))}.");
}
