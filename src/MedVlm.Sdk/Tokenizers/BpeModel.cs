namespace MedVlm.Tokenizers;

/// <summary>The "model" of a BPE tokenizer.json, checked.</summary>
/// <param name="Vocabulary">Tokens, each with an id of its own.</param>
/// <param name="Merges">The merges, by ids.</param>
/// <param name="IgnoreMerges">A word that is a token needs no merges.</param>
internal sealed record BpeModel(Dictionary<string, int> Vocabulary, BytePairMerges Merges, bool IgnoreMerges);
