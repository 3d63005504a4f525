namespace MedVlm.Evaluation;

/// <summary>References and candidates of the same images.</summary>
/// <param name="Pairs">In the order of the references.</param>
/// <param name="EmptyCandidates">Ids of the images whose candidate is empty or blank. They are scored, mostly with 0: worth a warning.</param>
public sealed record CaptionSet(IReadOnlyList<CaptionPair> Pairs, IReadOnlyList<string> EmptyCandidates);
