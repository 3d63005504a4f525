namespace MedVlm;

/// <summary>A finished caption.</summary>
public sealed record Caption
{
    /// <summary>The text: special tokens left out, no white space around it.</summary>
    public required string Text { get; init; }

    /// <summary>Tokens that the model wrote, the end-of-sequence token included where it was reached.</summary>
    public required IReadOnlyList<int> TokenIds { get; init; }

    /// <summary>Why the caption ended.</summary>
    public required FinishReason FinishReason { get; init; }

    /// <summary>
    /// How sure the model was of its words: the mean log-probability of <see cref="TokenIds"/> under the model, exponentiated (the
    /// geometric mean of the tokens' probabilities). Between 0 and 1; null if the backend does not tell. It says nothing about whether a
    /// finding is right.
    /// </summary>
    public required double? Confidence { get; init; }

    /// <summary>Tokens of the prompt, image placeholders included.</summary>
    public required int PromptTokens { get; init; }

    /// <summary>Where the time went.</summary>
    public required CaptionTimings Timings { get; init; }

    /// <summary>The model, as it was named when it was loaded.</summary>
    public required string Model { get; init; }

    /// <summary>The precision that it ran in.</summary>
    public required Precision Precision { get; init; }
}

/// <summary>Wall-clock time of a caption's stages. With several captions at once each counts the time that it took part in.</summary>
/// <param name="Preprocess">Decoding, resizing, tokenizing.</param>
/// <param name="Queue">Waiting: for a turn among the callers, for the vision tower, for a free slot.</param>
/// <param name="Vision">Vision tower and projector.</param>
/// <param name="Prefill">The decoder over the whole prompt, which gives the first token.</param>
/// <param name="Decode">The tokens after the first.</param>
public readonly record struct CaptionTimings(TimeSpan Preprocess, TimeSpan Queue, TimeSpan Vision, TimeSpan Prefill, TimeSpan Decode)
{
    /// <summary>All stages together.</summary>
    public TimeSpan Total => Preprocess + Queue + Vision + Prefill + Decode;
}
