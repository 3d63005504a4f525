using MedVlm.Evaluation.BertScore;
using MedVlm.Evaluation.Scoring;

namespace MedVlm.Evaluation;

/// <summary>BERTScore (arXiv:1904.09675): each token of the candidate is matched with the most similar token of the reference, and the other way round.</summary>
/// <remarks>
/// Gives precision, recall and F1, equal to bert-score 0.3.13 on single pairs (its batches let padding count as a similarity of 0). Of several references
/// each of the three takes its best one, as there. A text without tokens scores 0. With <see cref="BertScorerOptions.Idf"/> the values depend on all
/// references of the set. Each distinct text of a set is encoded once.
/// </remarks>
public sealed class BertScorer : ICaptionMetric
{
    // Hidden states that are in memory at once, but for texts that come again: 100 MB with MiniLM, 270 MB with a width of 1024.
    const int TokensInMemory = 1 << 16;

    // Enough for the matrix products, and small enough for the caches.
    const int TokensOfBatch = 2048;

    readonly BertScoreEncoder _encoder;
    readonly BertScorerOptions _options;
    readonly BertScoreValues? _baseline;

    /// <param name="encoder">The encoder, which may serve other scorers too; its owner disposes it after them.</param>
    /// <param name="options">How to count. Default: null, the defaults.</param>
    /// <exception cref="CheckpointException">The baseline file is missing or damaged, or has no line for the encoder's layer.</exception>
    public BertScorer(BertScoreEncoder encoder, BertScorerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        (_encoder, _options) = (encoder, options ?? new());
        _baseline = _options.BaselinePath is { } path ? RescaleBaseline.Read(path, encoder.Layer) : null;
        var name = _options.Name ?? (_options.Idf ? "BERTScore-IDF" : "BERTScore");
        Names = [$"{name} P", $"{name} R", $"{name} F1"];
    }

    /// <summary>Precision, recall and F1: <c>BERTScore P</c>, <c>BERTScore R</c>, <c>BERTScore F1</c>.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Whether tokens weigh by the references of the set.</summary>
    internal bool IsIdf => _options.Idf;

    /// <summary>Most tokens whose hidden states were in memory at once, in the set that was scored last.</summary>
    internal int MostTokens { get; private set; }

    /// <inheritdoc/>
    /// <exception cref="OperationCanceledException">The work was ended.</exception>
    public async ValueTask<IReadOnlyList<MetricScores>> ScoreAsync(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        ArgumentOutOfRangeException.ThrowIfZero(pairs.Count, nameof(pairs));
        return await Task.Run(() => Score(pairs, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A candidate beside one of its references; the texts by their place among the distinct ones.</summary>
    readonly record struct Comparison(int Pair, int Reference, int Candidate);

    MetricScores[] Score(IReadOnlyList<CaptionPair> pairs, CancellationToken cancellationToken)
    {
        var (comparisons, texts) = Comparisons(pairs);
        var ids = new int[texts.Count][];
        PairWork.ForEach(texts.Count, () => 0, (i, _) => ids[i] = _encoder.Tokenizer.Encode(texts[i]), cancellationToken);
        var weights = _options.Idf
            ? TokenWeights.InverseDocumentFrequency(comparisons.Select(comparison => ids[comparison.Reference]))
            : TokenWeights.Equal(_encoder.Tokenizer.Start, _encoder.Tokenizer.End);

        var scores = new BertScoreValues[comparisons.Count];
        var states = new StatesInUse(_encoder, ids, weights, comparisons.SelectMany(comparison => (int[])[comparison.Reference, comparison.Candidate]));
        foreach (int[] chunk in Chunks(comparisons, ids))
        {
            states.Encode(chunk.SelectMany(i => (int[])[comparisons[i].Reference, comparisons[i].Candidate]), TokensOfBatch, cancellationToken);
            PairWork.ForEach(
                chunk.Length, () => 0,
                (i, _) => scores[chunk[i]] = TokenMatching.Score(states[comparisons[chunk[i]].Reference], states[comparisons[chunk[i]].Candidate]), cancellationToken);
            states.Release(chunk.SelectMany(i => (int[])[comparisons[i].Reference, comparisons[i].Candidate]));
        }
        MostTokens = states.MostTokens;
        return Results(pairs, comparisons, scores);
    }

    /// <summary>Each candidate beside each of its references, and the texts in them, each once.</summary>
    (List<Comparison> Comparisons, List<string> Texts) Comparisons(IReadOnlyList<CaptionPair> pairs)
    {
        var (comparisons, texts, places) = (new List<Comparison>(pairs.Count), new List<string>(), new Dictionary<string, int>());
        foreach (var (pair, item) in pairs.Index())
        {
            if (item.References.Count == 0)
                throw new ArgumentException($"Pair \"{item.Id}\" has no reference: leave it out, or give an empty one.", nameof(pairs));
            foreach (var reference in item.References)
                comparisons.Add(new Comparison(pair, Place(reference), Place(item.Candidate)));
        }
        return (comparisons, texts);

        int Place(string text)
        {
            text = _options.Normalize?.Invoke(text) ?? text;
            if (!places.TryGetValue(text, out int place))
            {
                places.Add(text, place = texts.Count);
                texts.Add(text);
            }
            return place;
        }
    }

    /// <summary>Comparisons, as many at a time as may be in memory: pair by pair, lest a candidate wait for its next reference, in the order of the pairs' longest
    /// references, so that texts of one length come together.</summary>
    static IEnumerable<int[]> Chunks(List<Comparison> comparisons, int[][] ids)
    {
        var chunk = new List<int>();
        int tokens = 0;
        var pairs = Enumerable.Range(0, comparisons.Count).GroupBy(i => comparisons[i].Pair)
            .Select(pair => (Comparisons: pair, Longest: pair.Select(i => comparisons[i].Reference).MaxBy(reference => ids[reference].Length)));
        foreach (int i in pairs.OrderBy(pair => ids[pair.Longest].Length).ThenBy(pair => pair.Longest).SelectMany(pair => pair.Comparisons))
        {
            chunk.Add(i);
            tokens += ids[comparisons[i].Reference].Length + ids[comparisons[i].Candidate].Length;
            if (tokens < TokensInMemory)
                continue;
            yield return [.. chunk];
            chunk.Clear();
            tokens = 0;
        }
        if (chunk.Count > 0)
            yield return [.. chunk];
    }

    /// <summary>The best reference of each pair, rescaled.</summary>
    MetricScores[] Results(IReadOnlyList<CaptionPair> pairs, List<Comparison> comparisons, BertScoreValues[] scores)
    {
        var best = new BertScoreValues?[pairs.Count];
        for (int i = 0; i < scores.Length; i++)
        {
            var pair = pairs[comparisons[i].Pair];
            if (_options.BothEmpty != 0 && pair.Candidate.Length == 0 && pair.References.Any(reference => reference.Length == 0))
                best[comparisons[i].Pair] = new BertScoreValues(_options.BothEmpty, _options.BothEmpty, _options.BothEmpty);
            else
                best[comparisons[i].Pair] = best[comparisons[i].Pair] is { } other ? BertScoreValues.Max(other, scores[i]) : scores[i];
        }
        BertScoreValues[] values = [.. best.Select(value => _baseline is { } baseline ? value!.Value.Rescaled(baseline) : value!.Value)];
        return
        [
            new MetricScores(Names[0], [.. values.Select(value => value.Precision)]),
            new MetricScores(Names[1], [.. values.Select(value => value.Recall)]),
            new MetricScores(Names[2], [.. values.Select(value => value.F1)]),
        ];
    }
}
