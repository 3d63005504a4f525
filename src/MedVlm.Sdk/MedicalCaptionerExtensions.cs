namespace MedVlm;

/// <summary>Shorter ways to call an <see cref="IMedicalCaptioner"/>.</summary>
public static class MedicalCaptionerExtensions
{
    /// <summary>Writes the caption of one image.</summary>
    /// <inheritdoc cref="IMedicalCaptioner.CaptionAsync"/>
    /// <param name="captioner">The captioner.</param>
    /// <param name="image">The image.</param>
    /// <param name="options">What the caption should be like.</param>
    /// <param name="cancellationToken">Ends the work at the model's next step.</param>
    public static Task<Caption> CaptionAsync(
        this IMedicalCaptioner captioner, MedicalImage image, CaptionOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        return captioner.CaptionAsync(new CaptionRequest(image) { Options = options }, cancellationToken);
    }

    /// <summary>Writes the caption of one image and hands out its text as it is made.</summary>
    /// <inheritdoc cref="IMedicalCaptioner.CaptionStreamingAsync"/>
    /// <param name="captioner">The captioner.</param>
    /// <param name="image">The image.</param>
    /// <param name="options">What the caption should be like.</param>
    /// <param name="cancellationToken">Ends the work at the model's next step; leaving the enumeration early does the same.</param>
    public static IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(
        this IMedicalCaptioner captioner, MedicalImage image, CaptionOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        return captioner.CaptionStreamingAsync(new CaptionRequest(image) { Options = options }, cancellationToken);
    }

    /// <summary>Writes many captions.</summary>
    /// <inheritdoc cref="IMedicalCaptioner.CaptionBatchAsync"/>
    /// <param name="captioner">The captioner.</param>
    /// <param name="requests">Requests.</param>
    /// <param name="options">How the results come. Default: as they are ready.</param>
    /// <param name="cancellationToken">Ends the work at the model's next step; leaving the enumeration early does the same.</param>
    public static IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        this IMedicalCaptioner captioner, IEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        ArgumentNullException.ThrowIfNull(requests);
        return captioner.CaptionBatchAsync(requests.ToAsyncEnumerable(), options, cancellationToken);
    }

    /// <summary>Writes many captions, each result as it is ready.</summary>
    /// <inheritdoc cref="IMedicalCaptioner.CaptionBatchAsync"/>
    /// <param name="captioner">The captioner.</param>
    /// <param name="requests">Requests.</param>
    /// <param name="cancellationToken">Ends the work at the model's next step; leaving the enumeration early does the same.</param>
    public static IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        this IMedicalCaptioner captioner, IEnumerable<CaptionRequest> requests, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        return captioner.CaptionBatchAsync(requests, null, cancellationToken);
    }

    /// <summary>Writes many captions, each result as it is ready.</summary>
    /// <inheritdoc cref="IMedicalCaptioner.CaptionBatchAsync"/>
    /// <param name="captioner">The captioner.</param>
    /// <param name="requests">Requests.</param>
    /// <param name="cancellationToken">Ends the work at the model's next step; leaving the enumeration early does the same.</param>
    public static IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        this IMedicalCaptioner captioner, IAsyncEnumerable<CaptionRequest> requests, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        return captioner.CaptionBatchAsync(requests, null, cancellationToken);
    }

    /// <summary>Asks for an object behind this captioner.</summary>
    /// <inheritdoc cref="IMedicalCaptioner.GetService"/>
    public static T? GetService<T>(this IMedicalCaptioner captioner, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        return captioner.GetService(typeof(T), serviceKey) is T service ? service : default;
    }
}
