namespace MedVlm.Evaluation.Scoring;

/// <summary>The n-grams of a set of captions, each with its inverse document frequency: how few images have it in a reference.</summary>
internal sealed class NgramWeights
{
    readonly Dictionary<ulong, int>[] _ids;
    readonly List<double>[] _weights;

    NgramWeights(int maxOrder)
    {
        _ids = [.. Enumerable.Range(0, maxOrder).Select(_ => new Dictionary<ulong, int>())];
        _weights = [.. Enumerable.Range(0, maxOrder).Select(_ => new List<double>())];
    }

    /// <summary>Counts the n-grams of a set, up to a length. Those of candidates count too, with a frequency of 0.</summary>
    /// <remarks>The references' n-grams have their numbers before any candidate is looked at: sums run in the order of the numbers, and so a caption
    /// scores the same to the last bit whatever the other candidates are.</remarks>
    public static NgramWeights Of(TokenizedPairs pairs, int maxOrder, CancellationToken cancellationToken)
    {
        var all = new NgramWeights(maxOrder);
        var images = Enumerable.Range(0, maxOrder).Select(_ => new List<int>()).ToArray();   // how many images have it
        var latest = Enumerable.Range(0, maxOrder).Select(_ => new List<int>()).ToArray();   // the last of them
        int[] prefix = [];

        for (int i = 0; i < pairs.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            foreach (var reference in pairs.References[i])
                Add(reference, image: i);
        }
        foreach (var candidate in pairs.Candidates)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Add(candidate, image: -1);
        }

        double logImages = Math.Log(pairs.Count);
        for (int n = 0; n < maxOrder; n++)
            all._weights[n].AddRange(images[n].Select(count => logImages - Math.Log(Math.Max(1, count))));
        return all;

        void Add(int[] words, int image)
        {
            if (prefix.Length < words.Length)
                prefix = new int[2 * words.Length];
            prefix.AsSpan(0, words.Length).Clear();
            for (int n = 0; n < maxOrder; n++)
                for (int at = 0; at + n < words.Length; at++)
                {
                    ref int id = ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(
                        all._ids[n], Ngrams.Key(prefix[at], words[at + n]), out bool known);
                    if (!known)
                    {
                        id = images[n].Count;
                        images[n].Add(0);
                        latest[n].Add(-1);
                    }
                    if (image >= 0 && latest[n][id] != image)
                    {
                        images[n][id]++;
                        latest[n][id] = image;
                    }
                    prefix[at] = id;
                }
        }
    }

    /// <summary>A caption's vectors, one for each length of n-grams.</summary>
    public NgramVector[] Of(int[] words)
    {
        var vectors = new NgramVector[_ids.Length];
        int[] prefix = new int[words.Length];
        for (int n = 0; n < vectors.Length; n++)
        {
            int count = Math.Max(0, words.Length - n);
            for (int at = 0; at < count; at++)
                prefix[at] = _ids[n][Ngrams.Key(prefix[at], words[at + n])];
            vectors[n] = new(prefix.AsSpan(0, count).ToArray(), _weights[n]);
        }
        return vectors;
    }
}

/// <summary>Weights of the n-grams of a caption: how often each occurs in it, times how much it tells.</summary>
internal sealed class NgramVector
{
    readonly int[] _ngrams;       // ascending
    readonly double[] _weights;
    readonly int _count;
    readonly double _norm;

    /// <param name="occurrences">The n-grams of the caption; taken over.</param>
    /// <param name="weights">Of each n-gram.</param>
    public NgramVector(int[] occurrences, List<double> weights)
    {
        Array.Sort(occurrences);
        _ngrams = occurrences;
        _weights = new double[occurrences.Length];
        for (int i = 0, next; i < occurrences.Length; i = next)
        {
            for (next = i + 1; next < occurrences.Length && occurrences[next] == occurrences[i];)
                next++;
            double weight = (next - i) * weights[occurrences[i]];
            (_ngrams[_count], _weights[_count++]) = (occurrences[i], weight);
        }
        _norm = Norm();
    }

    /// <summary>Length of the vector, from the smallest weight to the largest: n-grams that no reference has may have any numbers.</summary>
    double Norm()
    {
        double[] ascending = _weights[.._count];
        Array.Sort(ascending);
        double squares = 0;
        foreach (double weight in ascending)
            squares += weight * weight;
        return Math.Sqrt(squares);
    }

    /// <summary>Cosine of the angle to a reference's vector, a weight counting at most as much as there (CIDEr-D).</summary>
    public double Similarity(NgramVector reference)
    {
        double sum = 0;
        for (int i = 0, j = 0; i < _count && j < reference._count;)
        {
            if (_ngrams[i] == reference._ngrams[j])
                sum += Math.Min(_weights[i++], reference._weights[j]) * reference._weights[j++];
            else if (_ngrams[i] < reference._ngrams[j])
                i++;
            else
                j++;
        }
        return _norm != 0 && reference._norm != 0 ? sum / (_norm * reference._norm) : sum;
    }
}
