using MedVlm.Checkpoints;

namespace MedVlm.Models;

/// <summary>What a family is made from: the checkpoint, and where the application said that its companions are.</summary>
/// <param name="Checkpoint">The model's own folder.</param>
/// <param name="VisionTower">Hub id or folder of a separate vision tower; null leaves it to the checkpoint.</param>
internal sealed record ModelSource(Checkpoint Checkpoint, string? VisionTower = null);
