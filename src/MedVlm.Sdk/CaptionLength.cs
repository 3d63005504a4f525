using System.Diagnostics.CodeAnalysis;

namespace MedVlm;

/// <summary>How long a caption a model is asked for, where it was trained on captions of several lengths.</summary>
[SuppressMessage("Naming", "CA1720", Justification = "The lengths as the model's own interface names them, not types of numbers.")]
public enum CaptionLength
{
    /// <summary>One sentence.</summary>
    Short,

    /// <summary>A few sentences.</summary>
    Normal,

    /// <summary>A detailed description.</summary>
    Long,
}
