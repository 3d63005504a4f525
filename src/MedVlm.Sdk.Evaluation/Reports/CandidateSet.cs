namespace MedVlm.Evaluation.Reports;

/// <summary>One model's captions with the references: what is scored together.</summary>
/// <param name="Name">What reports call it, such as the model's name or the name of its file.</param>
/// <param name="Pairs">The captions, at least one. Sets that are compared hold the same ids in the same order, with the same references.</param>
public sealed record CandidateSet(string Name, IReadOnlyList<CaptionPair> Pairs);
