using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation.Scoring;

/// <summary>The stems of a vocabulary's words, as numbers.</summary>
/// <param name="IdOfWord">For each word's number that of its stem.</param>
/// <param name="Texts">The stems.</param>
internal sealed record Stems(int[] IdOfWord, IReadOnlyList<string> Texts)
{
    /// <param name="words">The words.</param>
    /// <param name="minLength">Shorter words are their own stems.</param>
    public static Stems Of(Vocabulary words, int minLength)
    {
        var ids = new Dictionary<string, int>();
        var texts = new List<string>();
        return new(Array.ConvertAll(words.Words(), word =>
        {
            if (word is null)
                return -1;
            var stem = word.Length < minLength ? word : PorterStemmer.Stem(word);
            if (!ids.TryGetValue(stem, out int id))
            {
                ids.Add(stem, id = ids.Count);
                texts.Add(stem);
            }
            return id;
        }), texts);
    }
}
