namespace MedVlm.Evaluation;

/// <summary>A caption to judge, with what it is judged by.</summary>
/// <param name="Id">The image's key in both files.</param>
/// <param name="References">One or more captions by people. An empty text is a caption; no text at all is not.</param>
/// <param name="Candidate">The model's caption; may be empty.</param>
public sealed record CaptionPair(string Id, IReadOnlyList<string> References, string Candidate);
