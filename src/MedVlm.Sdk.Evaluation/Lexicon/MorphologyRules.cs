namespace MedVlm.Evaluation.Lexicon;

/// <summary>How inflected forms of one part of speech lead back to base forms: WordNet's manual, morphy(7WN).</summary>
/// <param name="File">Ending of the files' names.</param>
/// <param name="Endings">An ending, and what takes its place.</param>
internal sealed record MorphologyRules(string File, params (string Ending, string Base)[] Endings)
{
    public static readonly MorphologyRules[] All =
    [
        new("noun", ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
        new("verb", ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
        new("adj", ("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
        new("adv"),
    ];

    /// <summary>What each rule makes of a form.</summary>
    public IEnumerable<string> Detach(string form) => Endings
        .Where(rule => form.EndsWith(rule.Ending, StringComparison.Ordinal))
        .Select(rule => form[..^rule.Ending.Length] + rule.Base);
}
