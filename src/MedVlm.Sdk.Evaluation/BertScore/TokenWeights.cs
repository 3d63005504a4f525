using System.Runtime.InteropServices;

namespace MedVlm.Evaluation.BertScore;

/// <summary>What each token counts: by how rare it is in the references, or 1, and nothing for the two control tokens.</summary>
internal sealed class TokenWeights
{
    readonly Dictionary<int, double> _weights;
    readonly double _other;

    TokenWeights(Dictionary<int, double> weights, double other) => (_weights, _other) = (weights, other);

    /// <summary>Without inverse document frequencies: all tokens count 1, but the control tokens around a text do not.</summary>
    public static TokenWeights Equal(int start, int end) => new(new() { [start] = 0, [end] = 0 }, 1);

    /// <summary><c>ln((N + 1) / (df + 1))</c>: df of N references hold the token; one that none of them holds weighs <c>ln(N + 1)</c>.</summary>
    /// <param name="references">Ids of all references; one that stands in the set twice counts twice.</param>
    public static TokenWeights InverseDocumentFrequency(IEnumerable<int[]> references)
    {
        int documents = 0;
        var counts = new Dictionary<int, int>();
        foreach (var reference in references)
        {
            documents++;
            foreach (int id in reference.Distinct())
                CollectionsMarshal.GetValueRefOrAddDefault(counts, id, out _)++;
        }
        return new(counts.ToDictionary(count => count.Key, count => Math.Log((documents + 1) / (count.Value + 1.0))), Math.Log(documents + 1));
    }

    public double this[int id] => _weights.TryGetValue(id, out double weight) ? weight : _other;

    /// <summary>The weights of a text's tokens.</summary>
    public float[] Of(int[] ids) => [.. ids.Select(id => (float)this[id])];
}
