using MedVlm.Evaluation;

namespace MedVlm.Benchmarks.Synthetic;

/// <summary>Captions of no meaning, with the lengths of ROCOv2's (about 20 words in the mean, a long tail) and a vocabulary like Zipf's law.</summary>
internal static class SyntheticCaptions
{
    const int Vocabulary = 20_000;
    static readonly string[] s_openings = ["CT of the", "Chest X-ray showing", "Axial T2-weighted MRI of the", "Ultrasound (B-mode) of the", "Fig. 2A:", "PET/CT,"];
    static readonly string[] s_syllables = ["ra", "di", "o", "pul", "mo", "na", "ry", "ste", "no", "sis", "car", "tho", "rax", "le", "sion", "he", "pa", "tic", "me", "tas"];

    /// <summary>One reference and one candidate each; the candidate is the reference with words replaced, dropped or swapped, or another caption.</summary>
    public static CaptionPair[] Pairs(int count, int seed)
    {
        var random = new Random(seed);
        var words = Words(random);
        var pairs = new CaptionPair[count];
        for (int i = 0; i < count; i++)
        {
            var reference = Caption(random, words);
            var candidate = random.Next(3) == 0 ? Caption(random, words) : Changed(reference, random, words);
            pairs[i] = new($"{i:D6}", [Text(reference)], Text(candidate));
        }
        return pairs;
    }

    static string[] Words(Random random)
    {
        var words = new string[Vocabulary];
        for (int i = 0; i < words.Length; i++)
        {
            var syllables = Enumerable.Range(0, 1 + random.Next(4)).Select(_ => s_syllables[random.Next(s_syllables.Length)]);
            words[i] = random.Next(40) switch
            {
                0 => $"{random.Next(1, 100)}",
                1 => $"{random.Next(1, 10)}.{random.Next(10)} cm",
                2 => $"({string.Concat(syllables)})",
                3 => string.Concat(syllables) + ",",
                4 => $"{string.Concat(syllables)}-{s_syllables[random.Next(s_syllables.Length)]}",
                _ => string.Concat(syllables),
            };
        }
        return words;
    }

    static List<string> Caption(Random random, string[] words)
    {
        // Log-normal: median 16, mean 20, one caption in a hundred above 70 words.
        double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        int length = Math.Clamp((int)Math.Exp(Math.Log(16) + 0.66 * normal), 2, 400);
        List<string> caption = [s_openings[random.Next(s_openings.Length)]];
        while (caption.Count < length - 2)
            caption.Add(Word(random, words));
        return caption;
    }

    static List<string> Changed(List<string> caption, Random random, string[] words)
    {
        var changed = new List<string>(caption);
        for (int i = changed.Count - 1; i > 0; i--)
            switch (random.Next(8))
            {
                case 0: changed[i] = Word(random, words); break;
                case 1: changed.RemoveAt(i); break;
                case 2: (changed[i], changed[i - 1]) = (changed[i - 1], changed[i]); break;
            }
        return changed;
    }

    // Rank r with a probability of about 1/r.
    static string Word(Random random, string[] words) => words[(int)Math.Pow(words.Length, random.NextDouble()) - 1];

    static string Text(List<string> words) => string.Join(' ', words) + ".";
}
