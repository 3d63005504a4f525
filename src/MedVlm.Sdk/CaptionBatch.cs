using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace MedVlm;

/// <summary>Many captions at once over any captioner that writes one: what an <see cref="IMedicalCaptioner"/> of your own can build on.</summary>
public static class CaptionBatch
{
    /// <summary>
    /// Calls <see cref="IMedicalCaptioner.CaptionAsync"/> for each request and gives results as they are ready. A request that fails is a
    /// failed result; an error of the source, or <see cref="ObjectDisposedException"/>, ends the stream.
    /// </summary>
    /// <param name="captioner">Writes each caption.</param>
    /// <param name="requests">The requests.</param>
    /// <param name="maxInFlight">Requests that are under way at once, counting results that nobody has taken yet. At least 1.</param>
    /// <param name="cancellationToken">Ends the work; leaving the enumeration early does the same.</param>
    public static IAsyncEnumerable<CaptionResult> RunAsync(
        IMedicalCaptioner captioner, IAsyncEnumerable<CaptionRequest> requests, int maxInFlight, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        ArgumentNullException.ThrowIfNull(requests);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxInFlight, 1);
        return EnumerateAsync(captioner, requests, maxInFlight, cancellationToken);
    }

    static async IAsyncEnumerable<CaptionResult> EnumerateAsync(
        IMedicalCaptioner captioner, IAsyncEnumerable<CaptionRequest> requests, int maxInFlight,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var places = new SemaphoreSlim(maxInFlight);
        var results = Channel.CreateUnbounded<CaptionResult>(new() { SingleReader = true });
        var reading = ReadAsync();
        try
        {
            await foreach (var result in results.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                // Only now may another request start: a slow reader holds the source back.
                places.Release();
                yield return result;
            }
        }
        finally
        {
            await ending.CancelAsync().ConfigureAwait(false);
            await reading.ConfigureAwait(false);
        }

        async Task ReadAsync()
        {
            var running = new HashSet<Task>();
            Exception? error = null;
            try
            {
                await foreach (var request in requests.WithCancellation(ending.Token).ConfigureAwait(false))
                {
                    await places.WaitAsync(ending.Token).ConfigureAwait(false);
                    running.RemoveWhere(task => task.IsCompleted);
                    running.Add(OneAsync(request));
                }
            }
            catch (Exception e)
            {
                error = e;
            }

            await Task.WhenAll(running).ConfigureAwait(false);
            results.Writer.TryComplete(error);
        }

        async Task OneAsync(CaptionRequest request)
        {
            try
            {
                results.Writer.TryWrite(new CaptionResult(request, await captioner.CaptionAsync(request, ending.Token).ConfigureAwait(false)));
            }
            catch (OperationCanceledException) when (ending.IsCancellationRequested)
            {
                // The whole batch is ending.
            }
            catch (ObjectDisposedException e)
            {
                // Not this request's fault, and no later one can fare better.
                results.Writer.TryComplete(e);
                await ending.CancelAsync().ConfigureAwait(false);
            }
            catch (Exception e)
            {
                results.Writer.TryWrite(new CaptionResult(request, e));
            }
        }
    }
}
