using System.Text.Json;
using MedVlm.Evaluation.Tests.BertScore;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.AI.Evaluation;

namespace MedVlm.Evaluation.Tests.Evaluators;

public sealed class CaptionEvaluatorTests
{
    const string Reference = "Chest radiograph showing bilateral pleural effusions.", Candidate = "Chest radiograph showing a pleural effusion.";

    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_name_of_the_metrics_becomes_a_number_that_the_metric_gives()
    {
        ICaptionMetric[] metrics = [new CocoBleu(), new SacreBleu(), new Rouge(stemmer: true), new CocoRougeL(), new Meteor(), new ClefRouge1()];
        var evaluator = new CompositeEvaluator(metrics.Select(metric => new CaptionEvaluator(metric)));

        var result = await evaluator.EvaluateAsync(
            [new ChatMessage(ChatRole.User, "Describe the image.")], new ChatResponse(new ChatMessage(ChatRole.Assistant, Candidate)),
            additionalContext: [new CaptionReferences("Normal chest.", Reference)], cancellationToken: Token);

        Assert.Equal(evaluator.EvaluationMetricNames.Order(StringComparer.Ordinal), result.Metrics.Keys.Order(StringComparer.Ordinal));
        foreach (var metric in metrics)
            foreach (var scores in await metric.ScoreAsync([new("x", ["Normal chest.", Reference], Candidate)], Token))
            {
                var number = result.Get<NumericMetric>(scores.Name);
                Assert.Equal(scores.PerPair[0], number.Value);
                Assert.InRange(number.Value!.Value, 0, 100);
                Assert.Equal($"Normal chest.\n{Reference}", ((TextContent)Assert.Single(number.Context![CaptionReferences.ContextName].Contents)).Text);
                Assert.Null(number.Diagnostics);
            }
    }

    // As its reporting writes results to disk.
    [Fact]
    public async Task Results_can_be_written_as_JSON()
    {
        var result = await new CaptionEvaluator(new Rouge()).EvaluateAsync(
            new ChatResponse(new ChatMessage(ChatRole.Assistant, Candidate)), additionalContext: [new CaptionReferences(Reference)], cancellationToken: Token);

        var metric = JsonSerializer.SerializeToElement(result, AIJsonUtilities.DefaultOptions).GetProperty("metrics").GetProperty("ROUGE-2");

        Assert.Equal("numeric", metric.GetProperty("$type").GetString());
        Assert.Equal(result.Get<NumericMetric>("ROUGE-2").Value, metric.GetProperty("value").GetDouble());
        var context = metric.GetProperty("context").GetProperty(CaptionReferences.ContextName);
        Assert.Equal(Reference, context.GetProperty("contents")[0].GetProperty("text").GetString());
    }

    [Fact]
    public async Task Without_references_there_is_no_value_but_an_error()
    {
        var result = await new CaptionEvaluator(new CocoBleu()).EvaluateAsync(Candidate, cancellationToken: Token);

        Assert.Equal(4, result.Metrics.Count);
        Assert.All(result.Metrics.Values.Cast<NumericMetric>(), metric =>
        {
            Assert.Null(metric.Value);
            var diagnostic = Assert.Single(metric.Diagnostics!);
            Assert.Equal(EvaluationDiagnosticSeverity.Error, diagnostic.Severity);
            Assert.Equal("There is nothing to compare the caption with: pass a CaptionReferences among the additional context.", diagnostic.Message);
        });
    }

    [Fact]
    public async Task An_empty_caption_scores_with_a_warning()
    {
        var result = await new CaptionEvaluator(new Meteor()).EvaluateAsync(
            new ChatResponse(new ChatMessage(ChatRole.Assistant, " ")), additionalContext: [new CaptionReferences(Reference)], cancellationToken: Token);
        var metric = result.Get<NumericMetric>("METEOR");
        Assert.Equal(0, metric.Value);
        Assert.Equal("The caption is empty.", Assert.Single(metric.Diagnostics!).Message);
    }

    [Fact]
    public async Task A_metric_of_whole_sets_is_refused_and_so_are_no_references()
    {
        await using var encoder = await BertScoreEncoder.LoadAsync(EncoderGolden.Checkpoint("bert"), 2, threads: 1, Token);
        Assert.StartsWith("BERTScore with Idf weighs tokens by how few references of a set have them",
            Assert.Throws<ArgumentException>(() => new CaptionEvaluator(new BertScorer(encoder, new() { Idf = true }))).Message);
        Assert.Equal(3, new CaptionEvaluator(new BertScorer(encoder)).EvaluationMetricNames.Count);
        Assert.StartsWith("CIDEr weighs words by how few images of a set have them", Assert.Throws<ArgumentException>(() => new CaptionEvaluator(new Cider())).Message);
        Assert.StartsWith("There must be at least one reference.", Assert.Throws<ArgumentException>(() => new CaptionReferences([])).Message);
    }
}
