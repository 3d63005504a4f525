using System.Collections.Concurrent;

namespace MedVlm.Evaluation.Tokens;

/// <summary>Numbers for words: equal words have equal numbers, and comparing numbers is quick. Safe to use from many threads.</summary>
internal sealed class Vocabulary
{
    readonly ConcurrentDictionary<string, int> _ids;
    readonly ConcurrentDictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _bySpan;
    int _last = -1;

    public Vocabulary()
    {
        _ids = new(StringComparer.Ordinal);
        _bySpan = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public int IdOf(ReadOnlySpan<char> word) =>
        _bySpan.TryGetValue(word, out int id) ? id : _ids.GetOrAdd(word.ToString(), _ => Interlocked.Increment(ref _last));

    /// <summary>The words by their numbers. Two threads that met the same new word may have left a number without one.</summary>
    public string?[] Words()
    {
        var known = _ids.ToArray();   // at one moment: another thread may be adding words
        var words = new string?[known.Length == 0 ? 0 : known.Max(entry => entry.Value) + 1];
        foreach (var (word, id) in known)
            words[id] = word;
        return words;
    }
}
