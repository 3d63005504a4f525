using System.Globalization;
using System.Text;

namespace MedVlm.Evaluation.Lexicon;

/// <summary>One part of speech of WordNet: index.* (words and where their meanings lie), data.* (meanings and their words), *.exc (irregular forms).
/// The formats: WordNet's manual, wndb(5WN).</summary>
internal sealed class PartOfSpeech
{
    readonly string _folder;
    readonly MorphologyRules _rules;
    readonly byte[] _index;
    readonly byte[] _data;
    readonly Dictionary<string, string[]> _irregular = [];

    PartOfSpeech(string folder, MorphologyRules rules)
    {
        (_folder, _rules) = (folder, rules);
        _index = File.ReadAllBytes(Path.Combine(folder, $"index.{rules.File}"));
        _data = File.ReadAllBytes(Path.Combine(folder, $"data.{rules.File}"));
        foreach (var line in File.ReadLines(Path.Combine(folder, $"{rules.File}.exc"), Encoding.Latin1))
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var form, .. var bases])
                _irregular[form] = bases;
    }

    public static PartOfSpeech Read(string folder, MorphologyRules rules) => new(folder, rules);

    /// <summary>The forms of a word that the index lists: itself and its base forms, each rule applied once.</summary>
    public IEnumerable<string> BaseForms(string word)
    {
        // The reference looks words up in lower case.
        word = word.ToLowerInvariant();
        if (_irregular.TryGetValue(word, out var bases))
            return Listed([word, .. bases]);

        return Listed([word, .. _rules.Detach(word)]);
    }

    /// <summary>Adds the words of all meanings of a word that the index lists.</summary>
    public void AddSynonyms(string lemma, HashSet<string> synonyms)
    {
        // lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset...
        var fields = Encoding.Latin1.GetString(IndexLine(lemma)).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length < 3 || !int.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out int count) || count > fields.Length - 3)
            throw Damaged("index");
        foreach (var offset in fields[^count..])
            AddWords(offset, synonyms);
    }

    // synset_offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] ...
    void AddWords(string offset, HashSet<string> synonyms)
    {
        if (!int.TryParse(offset, NumberStyles.None, CultureInfo.InvariantCulture, out int at) || at >= _data.Length)
            throw Damaged("index");
        var rest = _data.AsSpan(at);
        int end = rest.IndexOf((byte)'\n');
        var fields = Encoding.Latin1.GetString(end < 0 ? rest : rest[..end]).Split(' ');
        // w_cnt is two hexadecimal digits, so that the count has bounds.
        if (fields.Length < 4 || fields[0] != offset || fields[3].Length != 2
            || !int.TryParse(fields[3], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int count) || fields.Length < 4 + 2 * count)
            throw Damaged("data");
        for (int i = 0; i < count; i++)
        {
            var word = fields[4 + 2 * i];
            int marker = word.IndexOf('(');   // an adjective's place: galore(ip)
            synonyms.Add(marker > 0 ? word[..marker] : word);
        }
    }

    List<string> Listed(IEnumerable<string> forms) => [.. forms.Distinct().Where(form => !IndexLine(form).IsEmpty)];

    /// <summary>The line of a word; empty if there is none. Lines are sorted by the bytes of their words, behind a licence whose lines begin with spaces.</summary>
    ReadOnlySpan<byte> IndexLine(string lemma)
    {
        if (lemma.Length == 0 || lemma.Contains(' '))
            return [];
        var word = Encoding.UTF8.GetBytes(lemma);
        int low = 0, high = _index.Length;   // the line begins somewhere in between
        while (low < high)
        {
            int middle = (low + high) / 2;
            int start = _index.AsSpan(0, middle).LastIndexOf((byte)'\n') + 1;
            int length = _index.AsSpan(start).IndexOf((byte)'\n');
            var line = _index.AsSpan(start, length < 0 ? _index.Length - start : length);
            int space = line.IndexOf((byte)' ');
            int order = (space < 0 ? line : line[..space]).SequenceCompareTo(word);
            if (order == 0)
                return line;
            if (order < 0)
                low = start + line.Length + 1;
            else
                high = start;
        }
        return [];
    }

    EvaluationDataException Damaged(string file) => new(
        $"{Path.Combine(_folder, $"{file}.{_rules.File}")} is damaged, or not of the same WordNet as the files beside it. Take all files from one WordNet 3.0.");
}
