using System.Runtime.ExceptionServices;

namespace MedVlm.Evaluation.Scoring;

/// <summary>Work on every pair, on all processors.</summary>
internal static class PairWork
{
    /// <summary>Calls <paramref name="work"/> with each index, and with memory that no other thread uses meanwhile.</summary>
    public static void ForEach<T>(int count, Func<T> memory, Action<int, T> work, CancellationToken cancellationToken) =>
        Unwrap(() => Parallel.For(0, count, new ParallelOptions { CancellationToken = cancellationToken }, memory, (i, _, mine) =>
        {
            work(i, mine);
            return mine;
        }, _ => { }), cancellationToken);

    /// <summary>Runs a parallel loop whose faults come out as its body threw them, and not in an AggregateException.</summary>
    public static void Unwrap(Action loop, CancellationToken cancellationToken)
    {
        try
        {
            loop();
        }
        catch (AggregateException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ExceptionDispatchInfo.Throw(e.Flatten().InnerExceptions[0]);
        }
    }

    /// <summary>Runs a metric's work on another thread, so that the caller is not held up.</summary>
    public static ValueTask<IReadOnlyList<MetricScores>> RunAsync(Func<IReadOnlyList<MetricScores>> score, CancellationToken cancellationToken) =>
        new(Task.Run(score, cancellationToken));
}
