namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>Scores that a test can work out by hand.</summary>
internal sealed class TestMetric(string name, Func<CaptionPair, double> score) : ICaptionMetric
{
    public IReadOnlyList<string> Names { get; } = [name];

    public ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default) =>
        new([new MetricScores(name, [.. pairs.Select(score)])]);

    /// <summary>Share of the candidate's words that are in a reference.</summary>
    public static TestMetric Overlap { get; } = new("Overlap", pair => Share(pair.Candidate, pair.References));

    /// <summary>The same in percent, less a little for each word.</summary>
    public static TestMetric Percent { get; } = new("Percent", pair => 100 * Share(pair.Candidate, pair.References) - Words(pair.Candidate).Length * 0.1);

    static string[] Words(string text) => text.ToLowerInvariant().Split([' ', '.', ','], StringSplitOptions.RemoveEmptyEntries);

    static double Share(string candidate, IReadOnlyList<string> references)
    {
        var known = references.SelectMany(Words).ToHashSet();
        var words = Words(candidate);
        return words.Length == 0 ? 0 : words.Count(known.Contains) / (double)words.Length;
    }
}

/// <summary>Captions as two models of different quality might write them.</summary>
internal static class TestCaptions
{
    static readonly string[] s_words = "axial CT of the abdomen shows a large lesion in left kidney without contrast and no free fluid chest radiograph frontal".Split(' ');

    /// <summary>References of 4 to 40 words; candidates with each word kept or replaced.</summary>
    /// <param name="count">Pairs.</param>
    /// <param name="kept">Share of the words that a candidate keeps.</param>
    /// <param name="id">Ids of the pairs.</param>
    public static IReadOnlyList<CaptionPair> Make(int count, double kept, Func<int, string>? id = null) =>
    [
        .. Enumerable.Range(0, count).Select(i =>
        {
            var random = new Random(i);
            string[] reference = [.. Enumerable.Range(0, 4 + random.Next(37)).Select(_ => s_words[random.Next(s_words.Length)])];
            var other = new Random(i + (int)(kept * 1000) * 100_000);
            double own = Math.Clamp(kept + 0.5 * (other.NextDouble() - 0.5), 0, 1);
            return new CaptionPair(
                id?.Invoke(i) ?? $"image-{i}", [string.Join(' ', reference) + "."],
                string.Join(' ', reference.Select(word => other.NextDouble() < own ? word : $"x{other.Next(20)}")) + ".");
        }),
    ];
}
