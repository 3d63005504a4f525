namespace MedVlm.Evaluation.Files;

/// <summary>One line of a file of captions.</summary>
/// <param name="Line">Where it begins, from 1.</param>
/// <param name="Id">The image's key.</param>
/// <param name="Captions">One or several; none where captioning failed.</param>
internal readonly record struct CaptionRow(int Line, string Id, IReadOnlyList<string> Captions);
