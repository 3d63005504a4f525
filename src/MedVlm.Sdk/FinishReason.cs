namespace MedVlm;

/// <summary>Why a caption ended.</summary>
public enum FinishReason
{
    /// <summary>The model wrote its end-of-sequence token.</summary>
    EndOfSequence,

    /// <summary>The text reached one of <see cref="CaptionOptions.StopSequences"/>, which is cut off.</summary>
    StopSequence,

    /// <summary>The caption reached <see cref="CaptionOptions.MaxNewTokens"/>, or the last position that the model knows.</summary>
    MaxNewTokens,
}
