using System.Diagnostics.CodeAnalysis;

namespace MedVlm;

/// <summary>What became of one request of a batch: a caption, or the error that stood in its way.</summary>
/// <remarks>
/// Whose fault an <see cref="Error"/> is: an <see cref="ImageException"/> is the image's and will come again, another
/// <see cref="MedVlmException"/> the model's or the machine's, anything else the request's own source.
/// </remarks>
public sealed record CaptionResult
{
    /// <summary>A request that was captioned.</summary>
    public CaptionResult(CaptionRequest request, Caption caption)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(caption);
        (Request, Caption) = (request, caption);
    }

    /// <summary>A request that failed.</summary>
    public CaptionResult(CaptionRequest request, Exception error)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(error);
        (Request, Error) = (request, error);
    }

    /// <summary>The request.</summary>
    public CaptionRequest Request { get; }

    /// <summary>The caption; null if the request failed.</summary>
    public Caption? Caption { get; }

    /// <summary>The error; null if the request was captioned.</summary>
    public Exception? Error { get; }

    /// <summary>Whether there is a caption.</summary>
    [MemberNotNullWhen(true, nameof(Caption))]
    [MemberNotNullWhen(false, nameof(Error))]
    public bool Succeeded => Caption is not null;
}
