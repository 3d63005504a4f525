using Microsoft.Extensions.AI.Evaluation;

namespace MedVlm.Evaluation;

/// <summary>The captions by people that <see cref="CaptionEvaluator"/> compares a response with.</summary>
public sealed class CaptionReferences : EvaluationContext
{
    /// <summary>The context's name in reports.</summary>
    public const string ContextName = "Reference captions";

    /// <summary>Creates the context.</summary>
    /// <param name="references">One or more captions of the image.</param>
    /// <exception cref="ArgumentException">There is none.</exception>
    public CaptionReferences(params IReadOnlyList<string> references) : base(ContextName, string.Join('\n', references ?? []))
    {
        ArgumentNullException.ThrowIfNull(references);
        if (references.Count == 0)
            throw new ArgumentException("There must be at least one reference.", nameof(references));
        References = references;
    }

    /// <summary>The captions.</summary>
    public IReadOnlyList<string> References { get; }
}
