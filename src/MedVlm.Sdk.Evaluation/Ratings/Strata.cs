using MedVlm.Evaluation.Reports;

namespace MedVlm.Evaluation.Ratings;

/// <summary>Names of strata for captions, where the data set has no label to go by.</summary>
public static class Strata
{
    static readonly string[] s_lengths = ["short", "medium", "long"], s_scores = ["lowest", "low", "high", "highest"];

    /// <summary>Twelve strata: thirds by the length of the references, in words, and in each third quarters by score.</summary>
    /// <param name="pairs">The captions.</param>
    /// <param name="scores">A score for each.</param>
    /// <returns>For each pair a name such as <c>short, lowest score</c>.</returns>
    /// <exception cref="ArgumentException">Not one score for each pair.</exception>
    public static IReadOnlyList<string> ByLengthAndScore(IReadOnlyList<CaptionPair> pairs, IReadOnlyList<double> scores)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        ArgumentNullException.ThrowIfNull(scores);
        if (pairs.Count != scores.Count)
            throw new ArgumentException($"{scores.Count} scores do not go with {pairs.Count} pairs.", nameof(scores));

        var names = new string[pairs.Count];
        foreach (var (third, length) in Parts(Enumerable.Range(0, pairs.Count), pair => EvaluationReport.ReferenceWords(pairs[pair]), s_lengths))
            foreach (var (quarter, score) in Parts(third, pair => scores[pair], s_scores))
                foreach (int pair in quarter)
                    names[pair] = $"{length}, {score} score";
        return names;
    }

    /// <summary>Ordered by a key, cut into parts of about one size.</summary>
    static IEnumerable<(int[] Part, string Name)> Parts(IEnumerable<int> members, Func<int, double> key, string[] names)
    {
        int[] ordered = [.. members.OrderBy(key).ThenBy(member => member)];
        return names.Select((name, i) => (ordered[((int)((long)ordered.Length * i / names.Length))..((int)((long)ordered.Length * (i + 1) / names.Length))], name));
    }
}
