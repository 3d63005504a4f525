namespace MedVlm;

/// <summary>Writes captions for medical images.</summary>
/// <remarks>
/// Safe to call from many threads at once: calls share the model. Whoever creates a captioner disposes it; one that comes from
/// dependency injection is disposed by the container. After disposal every call throws <see cref="ObjectDisposedException"/>.
/// </remarks>
public interface IMedicalCaptioner : IAsyncDisposable
{
    /// <summary>Writes one caption.</summary>
    /// <param name="request">Image and wishes.</param>
    /// <param name="cancellationToken">Ends the work at the model's next step.</param>
    /// <returns>The finished caption.</returns>
    /// <exception cref="ImageException">An image cannot be decoded, or goes beyond the limits.</exception>
    /// <exception cref="MedVlmException">The model cannot be loaded or run.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default);

    /// <summary>Writes one caption and hands out its text as it is made; the last update holds the finished caption.</summary>
    /// <param name="request">Image and wishes.</param>
    /// <param name="cancellationToken">Ends the work at the model's next step; leaving the enumeration early does the same.</param>
    /// <exception cref="ImageException">An image cannot be decoded, or goes beyond the limits.</exception>
    /// <exception cref="MedVlmException">The model cannot be loaded or run.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(CaptionRequest request, CancellationToken cancellationToken = default);

    /// <summary>
    /// Writes many captions, several at once, and hands out each result as it is ready, or in the order of the requests. A request that
    /// fails is a failed result and never ends the stream. The source is read only a little ahead of the results that are taken, so it may
    /// be endless. Callers at the same time take turns, whatever the length of their batches.
    /// </summary>
    /// <param name="requests">Requests.</param>
    /// <param name="options">How the results come. Default: as they are ready.</param>
    /// <param name="cancellationToken">Ends the work at the model's next step; leaving the enumeration early does the same.</param>
    /// <exception cref="MedVlmException">The model cannot be loaded.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null, CancellationToken cancellationToken = default);

    /// <summary>Asks for an object behind this captioner, such as its <see cref="CaptionerMetadata"/>, through any wrappers.</summary>
    /// <param name="serviceType">Type asked for.</param>
    /// <param name="serviceKey">A key that tells several of a type apart.</param>
    /// <returns>The object, or null if there is none.</returns>
    object? GetService(Type serviceType, object? serviceKey = null);
}
