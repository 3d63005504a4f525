using System.Globalization;
using System.Security.Cryptography;

namespace MedVlm.Evaluation.Reports;

/// <summary>A file that went into a report, so that the report can be told to be of that file and no other.</summary>
/// <param name="Role">What it was: <c>references</c>, <c>candidates</c>, or another word.</param>
/// <param name="Name">Its name, without its folder.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">SHA-256 of its content, in lower-case hexadecimal digits.</param>
public sealed record ReportFile(string Role, string Name, long Bytes, string Sha256)
{
    /// <summary>Reads a file and hashes it.</summary>
    /// <param name="role">What it is.</param>
    /// <param name="path">Its path.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static async Task<ReportFile> ReadAsync(string role, string path, CancellationToken cancellationToken = default)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1, FileOptions.Asynchronous | FileOptions.SequentialScan);
        await using (stream.ConfigureAwait(false))
        {
            var hash = await SHA256.HashDataAsync(stream, cancellationToken).ConfigureAwait(false);
            return new ReportFile(role, Path.GetFileName(path), stream.Length, Convert.ToHexStringLower(hash));
        }
    }
}

/// <summary>Where a report comes from.</summary>
/// <param name="SdkVersion">Version of this package.</param>
/// <param name="Created">When it was made, UTC.</param>
/// <param name="Files">The files that went into it.</param>
/// <param name="Settings">Settings of the metrics, as their caller named them.</param>
public sealed record ReportProvenance(
    string SdkVersion, DateTimeOffset Created, IReadOnlyList<ReportFile> Files, IReadOnlyDictionary<string, string> Settings);

/// <summary>How a report's intervals were made.</summary>
/// <param name="Resamples">Samples drawn.</param>
/// <param name="Confidence">Confidence of the intervals, 0.95 for 95 %.</param>
/// <param name="Seed">Seed of the samples.</param>
public sealed record ReportBootstrap(int Resamples, double Confidence, long Seed);

/// <summary>How much was scored.</summary>
/// <param name="Pairs">Images.</param>
/// <param name="References">References of all images together.</param>
/// <param name="MeanReferenceWords">Mean length of the references, in words between white space.</param>
public sealed record ReportCounts(int Pairs, int References, double MeanReferenceWords);

/// <summary>One candidate's scores.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="EmptyCaptions">Captions that are empty or white space.</param>
/// <param name="MeanWords">Mean length of its captions, in words between white space.</param>
/// <param name="Metrics">Its scores.</param>
public sealed record CandidateReport(string Name, int EmptyCaptions, double MeanWords, IReadOnlyList<MetricReport> Metrics);

/// <summary>One candidate's scores by one metric.</summary>
/// <param name="Name">The metric's name.</param>
/// <param name="Value">The corpus value.</param>
/// <param name="Lower">Lower end of its interval.</param>
/// <param name="Upper">Upper end of its interval.</param>
/// <param name="PerPair">One value for each pair.</param>
public sealed record MetricReport(string Name, double Value, double Lower, double Upper, IReadOnlyList<double> PerPair)
{
    /// <summary>A value of this metric as tables show it: four digits behind the point, two where values go beyond 10, as percentages do.</summary>
    internal string Format(double value) => value.ToString(_isLarge ? "F2" : "F4", CultureInfo.InvariantCulture);

    /// <summary>The same with a digit less, where there is little room.</summary>
    internal string ShortFormat(double value) => value.ToString(_isLarge ? "F1" : "F3", CultureInfo.InvariantCulture);

    readonly bool _isLarge = Math.Abs(Value) > 10 || PerPair.Any(score => Math.Abs(score) > 20);
}

/// <summary>How the second candidate compares with the first by one metric.</summary>
/// <param name="Metric">The metric's name.</param>
/// <param name="Difference">Corpus value of the second less that of the first.</param>
/// <param name="Lower">Lower end of the difference's interval.</param>
/// <param name="Upper">Upper end of the difference's interval.</param>
/// <param name="PValue">Two-sided p-value of the paired bootstrap, not corrected for the number of metrics.</param>
/// <param name="Better">Pairs for which the second scores higher.</param>
/// <param name="Worse">Pairs for which it scores lower.</param>
/// <param name="Equal">Pairs for which both score the same.</param>
public sealed record MetricComparison(string Metric, double Difference, double Lower, double Upper, double PValue, int Better, int Worse, int Equal);
