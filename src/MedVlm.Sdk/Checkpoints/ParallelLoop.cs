using System.Runtime.ExceptionServices;

namespace MedVlm.Checkpoints;

/// <summary>A loop on all cores whose faults come out as its body threw them, and not in an AggregateException.</summary>
internal static class ParallelLoop
{
    /// <summary>Calls the body with each index, and with memory that no other thread uses meanwhile.</summary>
    /// <param name="count">Number of indices.</param>
    /// <param name="memory">Makes the memory of a thread.</param>
    /// <param name="body">The body; its state ends the loop early.</param>
    /// <param name="cancellationToken">Gives up at the next index.</param>
    /// <exception cref="OperationCanceledException">The token is cancelled.</exception>
    public static void For<T>(long count, Func<T> memory, Action<long, ParallelLoopState, T> body, CancellationToken cancellationToken)
    {
        try
        {
            Parallel.For(
                0, count, new ParallelOptions { CancellationToken = cancellationToken }, memory,
                (i, state, mine) =>
                {
                    body(i, state, mine);
                    return mine;
                },
                _ => { });
        }
        catch (AggregateException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ExceptionDispatchInfo.Throw(e.Flatten().InnerExceptions[0]);
        }
    }
}
