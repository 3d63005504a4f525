namespace MedVlm.Evaluation.Tokens;

/// <summary>Porter's stemmer in the mode that nltk takes by default: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980,
/// with nltk's additions (a list of irregular words, and small changes of steps 1 and 2).</summary>
/// <remarks>Proven on tests/goldens/components/metrics/porter.json. Letters in the comments: C a consonant, V a vowel, m how often VC occurs.</remarks>
internal static class PorterStemmer
{
    static readonly Dictionary<string, string> s_irregular = new()
    {
        ["skies"] = "sky", ["sky"] = "sky", ["dying"] = "die", ["lying"] = "lie", ["tying"] = "tie", ["news"] = "news",
        ["innings"] = "inning", ["inning"] = "inning", ["outings"] = "outing", ["outing"] = "outing",
        ["cannings"] = "canning", ["canning"] = "canning",
        ["howe"] = "howe", ["proceed"] = "proceed", ["exceed"] = "exceed", ["succeed"] = "succeed",
    };

    static readonly (string Suffix, string Replacement)[] s_step2 =
    [
        ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble"), ("alli", "al"), ("entli", "ent"),
        ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"),
        ("ousness", "ous"), ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"), ("fulli", "ful"), ("logi", "log"),
    ];

    static readonly (string Suffix, string Replacement)[] s_step3 =
        [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

    static readonly string[] s_step4 =
    [
        "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize",
    ];

    /// <summary>The stem of a word in lower case.</summary>
    public static string Stem(string word)
    {
        if (s_irregular.TryGetValue(word, out var stem))
            return stem;
        return word.Length <= 2 ? word : Step5(Step4(Step3(Step2(YToI(PastAndProgressive(Plural(word)))))));
    }

    // 1a: caresses, ponies, ties, cats.
    static string Plural(string word) => true switch
    {
        _ when word.EndsWith("ies", StringComparison.Ordinal) => word.Length == 4 ? word[..^1] : word[..^2],
        _ when word.EndsWith("sses", StringComparison.Ordinal) => word[..^2],
        _ when word.EndsWith("ss", StringComparison.Ordinal) => word,
        _ when word.EndsWith('s') => word[..^1],
        _ => word,
    };

    // 1b: agreed, plastered, motoring; what is left gets back an e, or loses a doubled consonant.
    static string PastAndProgressive(string word)
    {
        if (word.EndsWith("ied", StringComparison.Ordinal))
            return word.Length == 4 ? word[..^1] : word[..^2];
        if (word.EndsWith("eed", StringComparison.Ordinal))
            return Measure(word.AsSpan()[..^3]) > 0 ? word[..^1] : word;

        var stem = word.EndsWith("ed", StringComparison.Ordinal) ? word[..^2] : word.EndsWith("ing", StringComparison.Ordinal) ? word[..^3] : null;
        if (stem is null || !HasVowel(stem))
            return word;
        if (stem.EndsWith("at", StringComparison.Ordinal) || stem.EndsWith("bl", StringComparison.Ordinal) || stem.EndsWith("iz", StringComparison.Ordinal))
            return stem + "e";
        if (EndsInDoubleConsonant(stem))
            return stem[^1] is 'l' or 's' or 'z' ? stem : stem[..^1];
        return Measure(stem) == 1 && IsShort(stem) ? stem + "e" : stem;
    }

    // 1c: happy, but not enjoy or by.
    static string YToI(string word) =>
        word.Length > 2 && word[^1] == 'y' && IsConsonant(word, word.Length - 2) ? word[..^1] + "i" : word;

    static string Step2(string word)
    {
        if (word.EndsWith("alli", StringComparison.Ordinal) && Measure(word.AsSpan()[..^4]) > 0)
            return Step2(word[..^2]);
        foreach (var (suffix, replacement) in s_step2)
            if (word.EndsWith(suffix, StringComparison.Ordinal))
            {
                // The l of logi counts as part of the stem.
                var measured = word.AsSpan()[..^(suffix == "logi" ? 3 : suffix.Length)];
                return Measure(measured) > 0 ? word[..^suffix.Length] + replacement : word;
            }
        return word;
    }

    static string Step3(string word)
    {
        foreach (var (suffix, replacement) in s_step3)
            if (word.EndsWith(suffix, StringComparison.Ordinal))
                return Measure(word.AsSpan()[..^suffix.Length]) > 0 ? word[..^suffix.Length] + replacement : word;
        return word;
    }

    static string Step4(string word)
    {
        foreach (var suffix in s_step4)
            if (word.EndsWith(suffix, StringComparison.Ordinal))
            {
                var stem = word[..^suffix.Length];
                return Measure(stem) > 1 && (suffix != "ion" || stem[^1] is 's' or 't') ? stem : word;
            }
        return word;
    }

    // 5a: probate, rate, cease. 5b: controll.
    static string Step5(string word)
    {
        if (word.EndsWith('e'))
        {
            var stem = word[..^1];
            int measure = Measure(stem);
            if (measure > 1 || measure == 1 && !IsShort(stem))
                word = stem;
        }
        return word.EndsWith("ll", StringComparison.Ordinal) && Measure(word.AsSpan()[..^1]) > 1 ? word[..^1] : word;
    }

    /// <summary>A y is one at the beginning and behind a vowel, so that in a run of y each differs from the one before it.</summary>
    static bool IsConsonant(ReadOnlySpan<char> word, int at)
    {
        int first = at;
        while (first > 0 && word[first] == 'y')
            first--;
        return (word[first] is not ('a' or 'e' or 'i' or 'o' or 'u')) == ((at - first) % 2 == 0);
    }

    /// <summary>m of [C](VC)^m[V].</summary>
    static int Measure(ReadOnlySpan<char> stem)
    {
        int measure = 0;
        bool vowelBefore = false;
        for (int i = 0; i < stem.Length; i++)
        {
            // As IsConsonant, from left to right: a y is a vowel behind a consonant.
            bool vowel = stem[i] is 'a' or 'e' or 'i' or 'o' or 'u' || stem[i] == 'y' && i > 0 && !vowelBefore;
            if (vowelBefore && !vowel)
                measure++;
            vowelBefore = vowel;
        }
        return measure;
    }

    static bool HasVowel(ReadOnlySpan<char> stem)
    {
        for (int i = 0; i < stem.Length; i++)
            if (!IsConsonant(stem, i))
                return true;
        return false;
    }

    static bool EndsInDoubleConsonant(ReadOnlySpan<char> word) => word.Length >= 2 && word[^1] == word[^2] && IsConsonant(word, word.Length - 1);

    /// <summary>CVC at the end, the last not w, x or y; or all of the word is VC.</summary>
    static bool IsShort(ReadOnlySpan<char> word) =>
        word.Length >= 3 && IsConsonant(word, word.Length - 3) && !IsConsonant(word, word.Length - 2) && IsConsonant(word, word.Length - 1)
            && word[^1] is not ('w' or 'x' or 'y')
        || word.Length == 2 && !IsConsonant(word, 0) && IsConsonant(word, 1);
}
