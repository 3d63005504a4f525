using MedVlm.Evaluation.Lexicon;

namespace MedVlm.Evaluation;

/// <summary>Princeton WordNet 3.0, read from its database files: which words can stand for one another.</summary>
/// <remarks>WordNet is not part of this package. Debian has it (wordnet-base and wordnet-sense-index, in /usr/share/wordnet); its licence allows free use
/// with its notice. Safe to use from many threads.</remarks>
public sealed class WordNet
{
    /// <summary>Environment variable that names WordNet's folder.</summary>
    public const string FolderVariable = "MEDVLM_WORDNET";

    readonly PartOfSpeech[] _parts;

    WordNet(PartOfSpeech[] parts) => _parts = parts;

    /// <summary>The folder of WordNet's files on this machine: what <see cref="FolderVariable"/> names, or /usr/share/wordnet; null if there is none.</summary>
    public static string? FindFolder() =>
        Environment.GetEnvironmentVariable(FolderVariable) is { Length: > 0 } named ? named
        : File.Exists("/usr/share/wordnet/index.noun") ? "/usr/share/wordnet" : null;

    /// <summary>Opens WordNet. About 28 MB are read.</summary>
    /// <param name="folder">The folder with index.noun, data.noun, noun.exc and the like.</param>
    /// <exception cref="EvaluationDataException">A file is missing, or is not WordNet's.</exception>
    public static WordNet Open(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        try
        {
            return new([.. MorphologyRules.All.Select(rules => PartOfSpeech.Read(folder, rules))]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EvaluationDataException($"WordNet cannot be read from {folder}: {e.Message} The folder must hold the database files of WordNet 3.0 "
                + "(index.noun, data.noun, noun.exc, and the same of verb, adj and adv).", e);
        }
    }

    /// <summary>Single words that share a meaning with a word, in any part of speech, and the word itself. Inflected forms are led back to the
    /// forms that WordNet lists.</summary>
    /// <param name="word">A word in lower case.</param>
    /// <returns>The words as WordNet writes them: names keep their capitals.</returns>
    /// <exception cref="EvaluationDataException">The files are damaged.</exception>
    public IReadOnlySet<string> Synonyms(string word)
    {
        ArgumentNullException.ThrowIfNull(word);
        var synonyms = new HashSet<string>(StringComparer.Ordinal);
        foreach (var part in _parts)
            foreach (var form in part.BaseForms(word))
                part.AddSynonyms(form, synonyms);
        synonyms.RemoveWhere(lemma => lemma.Contains('_'));
        synonyms.Add(word);
        return synonyms;
    }
}
