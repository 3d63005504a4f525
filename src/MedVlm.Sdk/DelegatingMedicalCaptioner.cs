namespace MedVlm;

/// <summary>Base of captioners that wrap another one, to log, measure, cache or change requests: every call passes through.</summary>
public abstract class DelegatingMedicalCaptioner : IMedicalCaptioner
{
    /// <summary>Wraps a captioner.</summary>
    /// <param name="inner">The captioner; disposed with this one.</param>
    protected DelegatingMedicalCaptioner(IMedicalCaptioner inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        Inner = inner;
    }

    /// <summary>The wrapped captioner.</summary>
    protected IMedicalCaptioner Inner { get; }

    /// <inheritdoc/>
    public virtual Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default) =>
        Inner.CaptionAsync(request, cancellationToken);

    /// <inheritdoc/>
    public virtual IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(CaptionRequest request, CancellationToken cancellationToken = default) =>
        Inner.CaptionStreamingAsync(request, cancellationToken);

    /// <inheritdoc/>
    public virtual IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null, CancellationToken cancellationToken = default) =>
        Inner.CaptionBatchAsync(requests, options, cancellationToken);

    /// <inheritdoc/>
    public virtual object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is null && serviceType.IsInstanceOfType(this) ? this : Inner.GetService(serviceType, serviceKey);
    }

    /// <inheritdoc/>
    public virtual async ValueTask DisposeAsync()
    {
        await Inner.DisposeAsync().ConfigureAwait(false);
        GC.SuppressFinalize(this);
    }
}
