namespace MedVlm.ConsoleSample.Verification;

/// <summary>How far this machine's caption agrees with the reference.</summary>
/// <param name="Tokens">Tokens that are the same from the start on.</param>
/// <param name="OfTokens">Tokens of the longer of the two.</param>
/// <param name="SameText">Whether the texts are equal.</param>
internal readonly record struct Agreement(int Tokens, int OfTokens, bool SameText)
{
    public static Agreement Of(ReferenceCase reference, Caption caption) => new(
        reference.GeneratedIds.Zip(caption.TokenIds).TakeWhile(pair => pair.First == pair.Second).Count(),
        Math.Max(reference.GeneratedIds.Count, caption.TokenIds.Count),
        caption.Text == reference.Text.Trim());

    public double Share => OfTokens == 0 ? 1 : (double)Tokens / OfTokens;

    /// <summary>Exact: greedy decoding leaves no room.</summary>
    public bool IsComplete => Tokens == OfTokens && SameText;
}
