namespace MedVlm.Evaluation;

/// <summary>One metric over a set of pairs. The corpus value is the mean of the pairs' values unless a metric sums counts first, as BLEU does.</summary>
/// <param name="name">The metric's name, such as <c>BLEU-4</c>.</param>
/// <param name="perPair">One value for each pair, in the order of the pairs.</param>
public class MetricScores(string name, IReadOnlyList<double> perPair)
{
    /// <summary>The metric's name.</summary>
    public string Name { get; } = name;

    /// <summary>One value for each pair, in the order of the pairs.</summary>
    public IReadOnlyList<double> PerPair { get; } = perPair;

    /// <summary>The value over all pairs.</summary>
    public double Corpus => CorpusOf([.. Enumerable.Range(0, PerPair.Count)]);

    /// <summary>The value over a sample of the pairs, which may hold a pair more than once: what a bootstrap asks for.</summary>
    /// <param name="sample">Indexes into <see cref="PerPair"/>.</param>
    /// <remarks>Called from many threads at once.</remarks>
    public virtual double CorpusOf(ReadOnlySpan<int> sample)
    {
        double sum = 0;
        if (PerPair is double[] values)   // without a call for each: a bootstrap asks for 80 million values of ROCOv2
            foreach (int pair in sample)
                sum += values[pair];
        else
            foreach (int pair in sample)
                sum += PerPair[pair];
        return sum / sample.Length;
    }
}
