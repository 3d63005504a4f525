using System.Numerics.Tensors;

namespace MedVlm.Inference;

/// <summary>How tokens are chosen, all defaults filled in.</summary>
internal sealed record SamplingSettings(float Temperature, float TopP, int? TopK, float RepetitionPenalty, ulong Seed)
{
    /// <summary>Tokens that are never chosen after the first one: a rule of the model, not of the request.</summary>
    public IReadOnlyList<int> SuppressedAfterFirst { get; init; } = [];

    /// <summary>The likeliest token as the graph finds it: no logits are looked at on the host.</summary>
    public bool IsPlainGreedy => Temperature == 0 && RepetitionPenalty == 1 && SuppressedAfterFirst.Count == 0;
}

/// <summary>Chooses one caption's tokens from their logits, in the order of transformers: penalty, temperature, top-k, top-p.</summary>
internal sealed class Sampler(SamplingSettings settings, ReadOnlySpan<int> promptIds)
{
    readonly HashSet<int> _seen = [.. promptIds];
    readonly SplitMix64 _random = new(settings.Seed);
    float[] _scores = [];
    bool _isFirst = true;
    int[] _order = [];

    /// <summary>Chooses the next token.</summary>
    /// <param name="logits">[vocab], not changed.</param>
    /// <returns>The token and its log-probability under the model (not under the changed distribution it was drawn from).</returns>
    public (int Token, float LogProbability) Choose(ReadOnlySpan<float> logits)
    {
        if (_scores.Length != logits.Length)
            _scores = new float[logits.Length];
        logits.CopyTo(_scores);
        if (!_isFirst)
            foreach (int suppressed in settings.SuppressedAfterFirst)
                _scores[suppressed] = float.NegativeInfinity;
        _isFirst = false;
        Penalise();

        int token = settings.Temperature == 0 ? TensorPrimitives.IndexOfMax(_scores) : Draw();
        _seen.Add(token);
        return (token, logits[token] - LogSumExp(logits));
    }

    /// <summary>arXiv:1909.05858, section 4.1; RepetitionPenaltyLogitsProcessor of transformers. The prompt's tokens count too.</summary>
    void Penalise()
    {
        if (settings.RepetitionPenalty == 1)
            return;

        foreach (int token in _seen)
            if ((uint)token < (uint)_scores.Length)
                _scores[token] = _scores[token] < 0
                    ? _scores[token] * settings.RepetitionPenalty
                    : Math.Min(_scores[token] / settings.RepetitionPenalty, float.MaxValue);
    }

    int Draw()
    {
        Span<float> scores = _scores;

        // The largest is 0 from here on: divided by however small a temperature, it stays finite.
        TensorPrimitives.Subtract(scores, TensorPrimitives.Max<float>(scores), scores);
        TensorPrimitives.Divide(scores, settings.Temperature, scores);

        // Likeliest first; equal scores by token id, so that the order does not depend on the sort.
        if (_order.Length != scores.Length)
            _order = new int[scores.Length];
        for (int i = 0; i < _order.Length; i++)
            _order[i] = i;
        var keys = _scores;
        _order.AsSpan().Sort((a, b) => keys[b].CompareTo(keys[a]) is not 0 and var c ? c : a.CompareTo(b));

        int kept = Math.Min(settings.TopK ?? _order.Length, _order.Length);
        var probabilities = new double[kept];
        double total = 0;
        for (int i = 0; i < kept; i++)
            total += probabilities[i] = Math.Exp(keys[_order[i]]);

        // Nucleus: the likeliest tokens until their share reaches top-p, the one that reaches it included (arXiv:1904.09751).
        if (settings.TopP < 1)
        {
            double share = 0;
            for (int i = 0; i < kept; i++)
                if ((share += probabilities[i] / total) >= settings.TopP)
                    kept = i + 1;
            total = probabilities.AsSpan(0, kept).ToArray().Sum();
        }

        double point = _random.NextDouble() * total;
        for (int i = 0; i < kept - 1; i++)
            if ((point -= probabilities[i]) < 0)
                return _order[i];
        return _order[kept - 1];
    }

    static float LogSumExp(ReadOnlySpan<float> logits)
    {
        float best = TensorPrimitives.Max(logits);
        double sum = 0;
        foreach (float logit in logits)
            sum += Math.Exp(logit - best);
        return best + (float)Math.Log(sum);
    }
}

/// <summary>A small random generator whose numbers are the same on every platform and .NET version (Steele, Lea, Flood 2014).</summary>
internal sealed class SplitMix64(ulong seed)
{
    ulong _state = seed;

    /// <summary>Uniform in [0, 1).</summary>
    public double NextDouble()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return ((z ^ (z >> 31)) >> 11) * (1.0 / (1UL << 53));
    }
}
