using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace MedVlm;

/// <summary>Many captions at once over any captioner that writes one.</summary>
internal static class CaptionBatch
{
    /// <summary>Results as they are ready; a bounded number of requests is under way, counting results that nobody has taken yet.</summary>
    public static async IAsyncEnumerable<CaptionResult> RunAsync(
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
