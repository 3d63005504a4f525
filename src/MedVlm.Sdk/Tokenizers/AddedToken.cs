namespace MedVlm.Tokenizers;

/// <summary>An entry of added_tokens: text that is one token wherever it stands, found before the model sees the rest.</summary>
/// <param name="Id">Token id.</param>
/// <param name="Content">The text.</param>
/// <param name="Special">A control token: skipped when decoding.</param>
/// <param name="Normalized">Found in the normalized text rather than in the raw text.</param>
/// <param name="StripLeft">Takes the white space in front of it along.</param>
/// <param name="StripRight">Takes the white space behind it along.</param>
/// <param name="SingleWord">Found only where no word character touches it.</param>
internal sealed record AddedToken(
    int Id, string Content, bool Special, bool Normalized, bool StripLeft, bool StripRight, bool SingleWord)
{
    /// <summary>Runs of blanks and tabs (as in phi-2's vocabulary) are ordinary text: they may stand in what a user wrote.</summary>
    /// <remarks>Everything else is kept out of it, special or not: Phi-3.5's end of sequence and Qwen2.5's tool calls are not
    /// marked as special, but steer the model all the same.</remarks>
    public bool IsOrdinaryText => !Special && string.IsNullOrWhiteSpace(Content);
}
