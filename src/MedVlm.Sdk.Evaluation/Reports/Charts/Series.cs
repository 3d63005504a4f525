namespace MedVlm.Evaluation.Reports.Charts;

/// <summary>One candidate's scores by one metric, to be drawn. Its place among the candidates decides its colour.</summary>
internal sealed record Series(string Name, MetricReport Metric);
