using System.Runtime.CompilerServices;

namespace MedVlm;

/// <summary>Loads a captioner at its first use, once; a failed attempt is repeated by the next call.</summary>
/// <remarks>Disposable in both ways: a container that is disposed synchronously refuses to hold what is not.</remarks>
internal sealed class LazyMedicalCaptioner(Func<CancellationToken, Task<IMedicalCaptioner>> load) : IMedicalCaptioner, IDisposable
{
    readonly SemaphoreSlim _loading = new(1);
    readonly CancellationTokenSource _ending = new();   // never disposed: it holds no timer, and a late call may still ask it
    volatile IMedicalCaptioner? _loaded;
    bool _disposed;

    /// <summary>Why the last attempt to load failed; null if none did, or a later one succeeded.</summary>
    public Exception? LoadError { get; private set; }

    /// <summary>The captioner, loaded now if it was not.</summary>
    public async ValueTask<IMedicalCaptioner> LoadAsync(CancellationToken cancellationToken)
    {
        if (_loaded is { } loaded)
            return loaded;

        await _loading.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(IMedicalCaptioner));
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _ending.Token);
            _loaded ??= await load(either.Token).ConfigureAwait(false);
            LoadError = null;
            return _loaded;
        }
        catch (OperationCanceledException)
        {
            // The load knows of both tokens as one.
            cancellationToken.ThrowIfCancellationRequested();
            ObjectDisposedException.ThrowIf(_ending.IsCancellationRequested, typeof(IMedicalCaptioner));
            throw;
        }
        catch (Exception e) when (e is not ObjectDisposedException)
        {
            LoadError = e;
            throw;
        }
        finally
        {
            _loading.Release();
        }
    }

    public async Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default) =>
        await (await LoadAsync(cancellationToken).ConfigureAwait(false)).CaptionAsync(request, cancellationToken).ConfigureAwait(false);

    public async IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(
        CaptionRequest request, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var captioner = await LoadAsync(cancellationToken).ConfigureAwait(false);
        await foreach (var update in captioner.CaptionStreamingAsync(request, cancellationToken).ConfigureAwait(false))
            yield return update;
    }

    public async IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var captioner = await LoadAsync(cancellationToken).ConfigureAwait(false);
        await foreach (var result in captioner.CaptionBatchAsync(requests, options, cancellationToken).ConfigureAwait(false))
            yield return result;
    }

    /// <summary>Null for everything that only the loaded model can tell, as long as it is not loaded.</summary>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is null && serviceType.IsInstanceOfType(this) ? this : _loaded?.GetService(serviceType, serviceKey);
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    public async ValueTask DisposeAsync()
    {
        // A load that is under way is given up, and waited for: it must not come to life after its owner is gone.
        await _ending.CancelAsync().ConfigureAwait(false);
        await _loading.WaitAsync().ConfigureAwait(false);
        try
        {
            _disposed = true;
            if (Interlocked.Exchange(ref _loaded, null) is { } loaded)
                await loaded.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            _loading.Release();
        }
    }
}
