using System.Collections.Concurrent;

namespace MedVlm.Evaluation.Scoring;

/// <summary>Synonyms of stems, looked up when first asked for. Safe to use from many threads.</summary>
/// <remarks>It is the stem that is looked up, and compared with a stem: so the reference does it (its stage of stems hands on what it compared). Thus
/// "picture" and "image" do not match, since WordNet has no "pictur".</remarks>
internal sealed class SynonymIds(IReadOnlyList<string> stems, WordNet wordNet)
{
    readonly ConcurrentDictionary<int, IReadOnlySet<string>> _synonyms = [];

    /// <summary>Whether the stem of a candidate's word has that of a reference's word among its synonyms. WordNet's names keep their capitals, and do
    /// not match.</summary>
    public bool Matches(int candidate, int reference) =>
        _synonyms.GetOrAdd(candidate, stem => wordNet.Synonyms(stems[stem])).Contains(stems[reference]);
}
