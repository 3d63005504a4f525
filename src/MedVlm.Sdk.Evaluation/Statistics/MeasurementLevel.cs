namespace MedVlm.Evaluation.Statistics;

/// <summary>What the distance between two answers means, and so how much a disagreement weighs.</summary>
public enum MeasurementLevel
{
    /// <summary>Names without an order: every disagreement weighs the same.</summary>
    Nominal,

    /// <summary>Ranks: a disagreement weighs by how many answers lie between the two.</summary>
    Ordinal,

    /// <summary>Numbers with equal steps: a disagreement weighs by the square of its distance.</summary>
    Interval,
}
