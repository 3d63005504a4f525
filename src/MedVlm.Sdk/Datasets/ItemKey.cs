namespace MedVlm.Datasets;

/// <summary>What of an item a job must know before it begins: its id, and the prompt that it brings.</summary>
internal readonly record struct ItemKey(string Id, string? Prompt);
