using System.Runtime.CompilerServices;

namespace MedVlm;

/// <summary>
/// Loads a captioner at its first use, once; a failed attempt is repeated by the next call. The load is everybody's: a caller who gives up stops
/// waiting, and the load goes on. Quantising a large model takes longer than many a request may, and would otherwise begin anew for each of them.
/// </summary>
/// <remarks>Disposable in both ways: a container that is disposed synchronously refuses to hold what is not.</remarks>
internal sealed class LazyMedicalCaptioner(Func<CancellationToken, Task<IMedicalCaptioner>> load) : IMedicalCaptioner, IDisposable
{
    readonly Lock _lock = new();
    readonly CancellationTokenSource _ending = new();   // never disposed: it holds no timer, and a late call may still ask it
    Task<IMedicalCaptioner>? _loading;
    volatile IMedicalCaptioner? _loaded;
    bool _disposed;

    /// <summary>Why the last attempt to load failed; null if none did, or a later one succeeded.</summary>
    public Exception? LoadError { get; private set; }

    /// <summary>The captioner, loaded now if it was not.</summary>
    /// <param name="cancellationToken">Ends the wait, not the load.</param>
    public async ValueTask<IMedicalCaptioner> LoadAsync(CancellationToken cancellationToken)
    {
        if (_loaded is { } loaded)
            return loaded;

        cancellationToken.ThrowIfCancellationRequested();
        Task<IMedicalCaptioner> loading;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(IMedicalCaptioner));
            loading = _loading ??= Task.Run(LoadOnceAsync, CancellationToken.None);
        }
        return await loading.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Loads the model behind a captioner, where that is one that loads at its first use: only then it tells what it is.</summary>
    public static async ValueTask LoadBehindAsync(IMedicalCaptioner captioner, CancellationToken cancellationToken)
    {
        if (captioner.GetService<LazyMedicalCaptioner>() is { } lazy)
            await lazy.LoadAsync(cancellationToken).ConfigureAwait(false);
    }

    async Task<IMedicalCaptioner> LoadOnceAsync()
    {
        try
        {
            var loaded = await load(_ending.Token).ConfigureAwait(false);
            LoadError = null;
            return _loaded = loaded;
        }
        catch (OperationCanceledException) when (_ending.IsCancellationRequested)
        {
            throw new ObjectDisposedException(typeof(IMedicalCaptioner).FullName);
        }
        catch (Exception e)
        {
            LoadError = e;
            throw;
        }
        finally
        {
            if (_loaded is null)
                lock (_lock)
                    _loading = null;
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
        Task? loading;
        lock (_lock)
            (_disposed, loading) = (true, _loading);
        await _ending.CancelAsync().ConfigureAwait(false);
        if (loading is not null)
            await loading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (Interlocked.Exchange(ref _loaded, null) is { } loaded)
            await loaded.DisposeAsync().ConfigureAwait(false);
    }
}
