namespace MedVlm.Evaluation.Statistics;

/// <summary>How much a metric differs between two candidates for the same images.</summary>
/// <param name="Value">Corpus value of the second candidate less that of the first: positive where the second scores higher.</param>
/// <param name="Interval">Interval of the difference.</param>
/// <param name="PValue">
/// How well a difference this large goes with none at all, 0 to 1, for either sign. It is at most 1 less the confidence exactly where the
/// interval does not hold 0.
/// </param>
public sealed record PairedDifference(double Value, ConfidenceInterval Interval, double PValue);
