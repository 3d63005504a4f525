namespace MedVlm.Evaluation;

/// <summary>How <see cref="BertScorer"/> counts.</summary>
public sealed record BertScorerOptions
{
    /// <summary>Whether a token counts by how rare it is in the references of the set (inverse document frequency). Default: false, all count the same.</summary>
    public bool Idf { get; init; }

    /// <summary>
    /// A baseline file of bert-score (<c>rescale_baseline/en/….tsv</c> in its repository) for the encoder: each score becomes <c>(x - b) / (1 - b)</c>.
    /// Default: null, scores as they are.
    /// </summary>
    public string? BaselinePath { get; init; }

    /// <summary>What is done to each text first. Default: null, nothing.</summary>
    public Func<string, string>? Normalize { get; init; }

    /// <summary>
    /// What a pair scores whose texts are both empty before <see cref="Normalize"/>; the ImageCLEF scorer gives 1. Default: 0, as bert-score.
    /// </summary>
    public double BothEmpty { get; init; }

    /// <summary>What the scores' names begin with. Default: null, <c>BERTScore</c>, or <c>BERTScore-IDF</c> with <see cref="Idf"/>.</summary>
    public string? Name { get; init; }
}
