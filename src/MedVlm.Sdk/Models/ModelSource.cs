using MedVlm.Checkpoints;

namespace MedVlm.Models;

/// <summary>Where a model's parts are: its own folder, and what it takes from other repositories.</summary>
/// <param name="Checkpoint">The model's folder.</param>
/// <param name="VisionTower">Where the vision tower is that the folder lacks, as the application names it; null where it names none.</param>
/// <param name="TokenizerSource">Where the tokenizer is that the folder lacks, as the application names it; null where it names none.</param>
internal sealed record ModelSource(Checkpoint Checkpoint, string? VisionTower = null, string? TokenizerSource = null);
