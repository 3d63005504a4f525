namespace MedVlm.Evaluation;

/// <summary>What a caption has in common with its reference, from both sides; each from 0 to 1.</summary>
/// <param name="Precision">Share of the candidate that the reference has.</param>
/// <param name="Recall">Share of the reference that the candidate has.</param>
public readonly record struct RougeScore(double Precision, double Recall)
{
    /// <summary>Their harmonic mean; 0 if both are 0.</summary>
    public double F1 => Precision + Recall > 0 ? 2 * Precision * Recall / (Precision + Recall) : 0;
}
