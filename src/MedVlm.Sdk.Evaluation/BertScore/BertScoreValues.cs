namespace MedVlm.Evaluation.BertScore;

/// <summary>Precision, recall and their harmonic mean, of one pair of texts or of a baseline.</summary>
internal readonly record struct BertScoreValues(double Precision, double Recall, double F1)
{
    /// <summary>The larger of each: so the reference joins several references of one candidate.</summary>
    public static BertScoreValues Max(BertScoreValues a, BertScoreValues b) =>
        new(Math.Max(a.Precision, b.Precision), Math.Max(a.Recall, b.Recall), Math.Max(a.F1, b.F1));

    /// <summary><c>(x - b) / (1 - b)</c> for each.</summary>
    public BertScoreValues Rescaled(BertScoreValues baseline) => new(
        (Precision - baseline.Precision) / (1 - baseline.Precision), (Recall - baseline.Recall) / (1 - baseline.Recall), (F1 - baseline.F1) / (1 - baseline.F1));
}
