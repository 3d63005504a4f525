using Microsoft.Extensions.AI;
using Microsoft.Extensions.AI.Evaluation;

namespace MedVlm.Evaluation;

/// <summary>A caption metric as an evaluator of Microsoft.Extensions.AI.Evaluation: each of its names becomes a <see cref="NumericMetric"/>.</summary>
/// <remarks>
/// The response's text is the candidate; the references come as <see cref="CaptionReferences"/> among the additional context. Without them, each metric
/// has no value and an error among its diagnostics. No language model is asked: the chat configuration may be null. Each response is scored by itself,
/// which is not what the metrics do that weigh words over a whole set. Safe to use from many threads.
/// </remarks>
public sealed class CaptionEvaluator : IEvaluator
{
    readonly ICaptionMetric _metric;

    /// <summary>Wraps a metric.</summary>
    /// <param name="metric">The metric.</param>
    /// <exception cref="ArgumentException">It is <see cref="Cider"/>, or <see cref="BertScorer"/> with <see cref="BertScorerOptions.Idf"/>, which say nothing about
    /// one caption by itself.</exception>
    public CaptionEvaluator(ICaptionMetric metric)
    {
        ArgumentNullException.ThrowIfNull(metric);
        if (metric is Cider)
            throw new ArgumentException("CIDEr weighs words by how few images of a set have them, and one caption scores 0: score the set with Cider.ScoreAsync.",
                nameof(metric));
        if (metric is BertScorer { IsIdf: true })
            throw new ArgumentException("BERTScore with Idf weighs tokens by how few references of a set have them, and those of one reference weigh 0: "
                + "score the set with BertScorer.ScoreAsync, or leave Idf off.", nameof(metric));
        _metric = metric;
        EvaluationMetricNames = [.. metric.Names];
    }

    /// <inheritdoc/>
    public IReadOnlyCollection<string> EvaluationMetricNames { get; }

    /// <inheritdoc/>
    public async ValueTask<EvaluationResult> EvaluateAsync(
        IEnumerable<ChatMessage> messages, ChatResponse modelResponse, ChatConfiguration? chatConfiguration = null,
        IEnumerable<EvaluationContext>? additionalContext = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(modelResponse);
        if (additionalContext?.OfType<CaptionReferences>().FirstOrDefault() is not { } references)
        {
            var bare = new EvaluationResult([.. _metric.Names.Select(name => new NumericMetric(name))]);
            bare.AddDiagnosticsToAllMetrics(EvaluationDiagnostic.Error(
                $"There is nothing to compare the caption with: pass a {nameof(CaptionReferences)} among the additional context."));
            return bare;
        }

        CaptionPair[] pair = [new("response", references.References, modelResponse.Text)];
        var scores = await _metric.ScoreAsync(pair, cancellationToken).ConfigureAwait(false);
        var result = new EvaluationResult([.. scores.Select(score => new NumericMetric(score.Name, score.PerPair[0]))]);
        result.AddOrUpdateContextInAllMetrics(references);
        if (string.IsNullOrWhiteSpace(modelResponse.Text))
            result.AddDiagnosticsToAllMetrics(EvaluationDiagnostic.Warning("The caption is empty."));
        return result;
    }
}
