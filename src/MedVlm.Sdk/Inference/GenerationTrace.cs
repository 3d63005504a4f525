using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>The numbers on the way to a caption, for whoever compares them with the reference's.</summary>
internal sealed class GenerationTrace
{
    /// <summary>What the vision graph was given, in the order of its runs.</summary>
    public IReadOnlyList<VisionRun> Vision { get; set; } = [];

    /// <summary>The prompt, image placeholders expanded.</summary>
    public int[] PromptIds { get; set; } = [];

    /// <summary>Positions of the prompt's tokens.</summary>
    public PromptPositions Positions { get; set; } = PromptPositions.Sequential(0);

    /// <summary>[features, D].</summary>
    public float[] ImageFeatures { get; set; } = [];

    /// <summary>For each step the logits that its token was chosen from, [vocab].</summary>
    public List<float[]> StepLogits { get; } = [];

    /// <summary>Steps, counted in tokens chosen before them, that computed the whole sequence again (LongRoPE).</summary>
    public List<int> StartedOver { get; } = [];

    /// <summary>One input of the vision graph, all runs after one another.</summary>
    public float[] VisionInput(string name) => [.. Vision.SelectMany(run => (float[])run.Inputs[name].Data)];
}
