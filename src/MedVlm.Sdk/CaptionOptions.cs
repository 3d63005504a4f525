using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;

namespace MedVlm;

/// <summary>What one caption should be like. Unset members take the model's or the library's default.</summary>
/// <remarks>
/// Settable, so that a configuration section can be bound to it; <c>options with { … }</c> makes a changed copy. A captioner copies the
/// options when a call begins, so later changes bear on later calls only.
/// </remarks>
public sealed record CaptionOptions
{
    /// <summary>Prompt of a request that brings none, where neither family nor checkpoint has one of its own.</summary>
    public const string DefaultPrompt = "Provide a concise medical caption for this radiology image.";

    /// <summary>
    /// What the model is asked. Special tokens written in it are ordinary text for the model. Default: null, the checkpoint's own
    /// or <see cref="DefaultPrompt"/>.
    /// </summary>
    public string? Prompt { get; set; }

    /// <summary>
    /// How long a caption the model is asked for, where the prompt is empty (Moondream2 only; elsewhere without effect). Default: null,
    /// the model's normal.
    /// </summary>
    [EnumDataType(typeof(CaptionLength))]
    public CaptionLength? Length { get; set; }

    /// <summary>Tokens to write at most. Default: 128. Range: 1 to 8192.</summary>
    [Range(1, 8192)]
    public int MaxNewTokens { get; set; } = 128;

    /// <summary>
    /// Softness of the choice among tokens. Default: 0, greedy: always the likeliest token, the same caption every time. Above 0 tokens
    /// are drawn at random from <c>softmax(logits / Temperature)</c>. Range: 0 to 100.
    /// </summary>
    [Range(0f, 100f)]
    public float Temperature { get; set; }

    /// <summary>
    /// Draws only among the likeliest tokens whose probabilities together reach this share (nucleus sampling, arXiv:1904.09751).
    /// Without effect at temperature 0. Default: 1, all tokens. Range: above 0, to 1.
    /// </summary>
    [Range(float.Epsilon, 1f)]
    public float TopP { get; set; } = 1;

    /// <summary>Draws only among this many of the likeliest tokens. Without effect at temperature 0. Default: null, all tokens.</summary>
    [Range(1, int.MaxValue)]
    public int? TopK { get; set; }

    /// <summary>Seed of the draws: the same seed, image and options give the same caption. Default: null, a new seed each time.</summary>
    public int? Seed { get; set; }

    /// <summary>
    /// Divides the logits of tokens seen so far, prompt included, if positive, and multiplies them if negative (arXiv:1909.05858;
    /// RepetitionPenaltyLogitsProcessor of transformers). Default: null, the checkpoint's generation_config.json, usually 1: none.
    /// Range: above 0, to 100.
    /// </summary>
    [Range(float.Epsilon, 100f)]
    public float? RepetitionPenalty { get; set; }

    /// <summary>Texts at which a caption ends; the text itself is cut off. Default: none.</summary>
    [Required, NoEmptyText]
    public IReadOnlyList<string> StopSequences { get; set; } = [];

    /// <summary>How finely the model looks at the image. Default: as the checkpoint says.</summary>
    [Required, ValidateObjectMembers, PixelBoundsInOrder]
    public ImageDetail ImageDetail { get; set; } = new();

    /// <summary>A copy that no later change of this object reaches.</summary>
    internal CaptionOptions Snapshot() => this with
    {
        StopSequences = StopSequences is null ? null! : [.. StopSequences], ImageDetail = ImageDetail is null ? null! : ImageDetail with { },   // null is refused by the checks
    };
}
