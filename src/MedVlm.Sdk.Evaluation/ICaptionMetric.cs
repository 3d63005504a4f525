namespace MedVlm.Evaluation;

/// <summary>Scores captions against references. Safe to call from many threads.</summary>
public interface ICaptionMetric
{
    /// <summary>What it gives, in this order: <c>["BLEU-1", "BLEU-2", …]</c> or one name.</summary>
    IReadOnlyList<string> Names { get; }

    /// <summary>Scores a whole set: some metrics weigh words by how rare they are in all references.</summary>
    /// <param name="pairs">The set, at least one pair.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <returns>One entry for each of <see cref="Names"/>, in that order.</returns>
    ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default);
}
