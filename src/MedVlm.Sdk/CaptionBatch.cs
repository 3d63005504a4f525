using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace MedVlm;

/// <summary>Many captions at once over any captioner that writes one: what an <see cref="IMedicalCaptioner"/> of your own can build on.</summary>
public static class CaptionBatch
{
    /// <summary>
    /// Calls <see cref="IMedicalCaptioner.CaptionAsync"/> for each request and gives the results. A request that fails is a
    /// failed result; an error of the source, or <see cref="ObjectDisposedException"/>, ends the stream.
    /// </summary>
    /// <param name="captioner">Writes each caption.</param>
    /// <param name="requests">The requests. Leaving the enumeration, or its end by an error, waits for the source to give the next one or to end: one that
    /// blocks must heed the token that it is enumerated with, or be completed.</param>
    /// <param name="maxInFlight">Requests that are under way at once, counting results that nobody has taken yet. At least 1.</param>
    /// <param name="options">How the results come. Default: as they are ready.</param>
    /// <param name="cancellationToken">Ends the work; leaving the enumeration early does the same.</param>
    public static IAsyncEnumerable<CaptionResult> RunAsync(
        IMedicalCaptioner captioner, IAsyncEnumerable<CaptionRequest> requests, int maxInFlight, CaptionBatchOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        ArgumentNullException.ThrowIfNull(requests);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxInFlight, 1);
        return RunAsync(captioner.CaptionAsync, requests, maxInFlight, options, cancellationToken);
    }

    /// <summary>The same for anything that writes one caption.</summary>
    internal static async IAsyncEnumerable<CaptionResult> RunAsync(
        Func<CaptionRequest, CancellationToken, Task<Caption>> caption, IAsyncEnumerable<CaptionRequest> requests, int maxInFlight,
        CaptionBatchOptions? options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var places = new SemaphoreSlim(maxInFlight);
        var results = Channel.CreateUnbounded<CaptionResult>(new() { SingleReader = true });
        var inOrder = options?.Order == CaptionOrder.AsRequested ? new Reordering(results.Writer) : null;

        // On a thread of its own: a source that blocks, such as a queue's consuming enumerable, must not hold back results that are there.
        var reading = Task.Run(ReadAsync, CancellationToken.None);
        try
        {
            await foreach (var result in results.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                // Only now may another request start: a slow reader holds the source back. It is what bounds the two buffers too.
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
                long count = 0;
                await foreach (var request in requests.WithCancellation(ending.Token).ConfigureAwait(false))
                {
                    if (request is null)
                        throw new ArgumentException("The source gave a request that is null.", nameof(requests));
                    await places.WaitAsync(ending.Token).ConfigureAwait(false);
                    running.RemoveWhere(task => task.IsCompleted);
                    running.Add(OneAsync(request, count++));
                }
            }
            catch (Exception e)
            {
                error = e;
            }

            await Task.WhenAll(running).ConfigureAwait(false);
            results.Writer.TryComplete(error);
        }

        async Task OneAsync(CaptionRequest request, long place)
        {
            CaptionResult result;
            try
            {
                result = new CaptionResult(request, await caption(request, ending.Token).ConfigureAwait(false));
            }
            catch (OperationCanceledException) when (ending.IsCancellationRequested)
            {
                // The whole batch is ending.
                return;
            }
            catch (ObjectDisposedException e)
            {
                // Not this request's fault, and no later one can fare better.
                results.Writer.TryComplete(e);
                await ending.CancelAsync().ConfigureAwait(false);
                return;
            }
            catch (Exception e)
            {
                result = new CaptionResult(request, e);
            }

            if (inOrder is null)
                results.Writer.TryWrite(result);
            else
                inOrder.Add(place, result);
        }
    }

    /// <summary>Holds results back until those before them are there.</summary>
    sealed class Reordering(ChannelWriter<CaptionResult> results)
    {
        readonly Dictionary<long, CaptionResult> _early = [];
        long _next;

        public void Add(long place, CaptionResult result)
        {
            lock (_early)
                for (_early.Add(place, result); _early.Remove(_next, out var next); _next++)
                    results.TryWrite(next);
        }
    }
}
