using MedVlm.Evaluation.Statistics;

namespace MedVlm.Evaluation.Reports;

/// <summary>How a report is made, and what it says of its origin.</summary>
public sealed record EvaluationReportOptions
{
    /// <summary>How the intervals are made. Default: 1000 resamples, 95 %, seed 0.</summary>
    public BootstrapOptions Bootstrap { get; init; } = new();

    /// <summary>The files that went into it. Default: none.</summary>
    public IReadOnlyList<ReportFile> Files { get; init; } = [];

    /// <summary>Settings of the metrics that someone needs who wants the same numbers again. Default: none.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>Told the names of the metrics that are scored next. Default: nobody.</summary>
    public IProgress<string>? Progress { get; init; }

    /// <summary>The clock for <see cref="ReportProvenance.Created"/>. Default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
