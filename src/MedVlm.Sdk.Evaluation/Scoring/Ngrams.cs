namespace MedVlm.Evaluation.Scoring;

/// <summary>An n-gram's key: the number of the n-gram without its last word, and that word.</summary>
internal static class Ngrams
{
    /// <summary>Multiplied by an odd number, which loses nothing, since small numbers side by side hash to few values.</summary>
    public static ulong Key(int prefix, int word) => unchecked(((ulong)(uint)prefix << 32 | (uint)word) * 0x9E37_79B9_7F4A_7C15);
}
