using MedVlm.Inference;

namespace MedVlm.Tests.Inference;

/// <summary>No more inside than there are places, and a turn for each caller.</summary>
public sealed class FairGateTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_single_caption_passes_a_batch_of_thousands_at_the_next_place()
    {
        var gate = new FairGate(2);
        object batch = new(), single = new();
        var inside = new Queue<FairGate.Place>([await gate.EnterAsync(batch, Token), await gate.EnterAsync(batch, Token)]);
        var waiting = Enumerable.Range(0, 10_000).Select(_ => gate.EnterAsync(batch, Token).AsTask()).ToList();
        var one = gate.EnterAsync(single, Token).AsTask();
        Assert.Equal((0, 10_001), (gate.Free, gate.Waiting));

        inside.Dequeue().Dispose();
        await waiting[0];
        inside.Dequeue().Dispose();
        await one;

        Assert.False(waiting[1].IsCompleted);
        gate.Close(new ObjectDisposedException("engine"));
    }

    [Fact]
    public async Task A_place_is_given_back_once()
    {
        var gate = new FairGate(2);
        var place = await gate.EnterAsync(this, Token);
        Assert.Equal(1, gate.Free);

        place.Dispose();
        place.Dispose();

        Assert.Equal(2, gate.Free);
    }

    [Fact]
    public async Task Who_gives_up_waiting_leaves_nothing_behind()
    {
        var gate = new FairGate(1);
        var place = await gate.EnterAsync(this, Token);
        using var cancel = new CancellationTokenSource();
        var gone = gate.EnterAsync(new object(), cancel.Token).AsTask();
        var next = gate.EnterAsync(new object(), Token).AsTask();

        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gone);
        Assert.Equal(1, gate.Waiting);

        place.Dispose();
        (await next).Dispose();
        Assert.Equal((1, 0), (gate.Free, gate.Waiting));
    }

    [Fact]
    public async Task A_closed_gate_lets_nobody_wait()
    {
        var gate = new FairGate(1);
        using var place = await gate.EnterAsync(this, Token);
        var waiting = gate.EnterAsync(this, Token).AsTask();

        gate.Close(new ObjectDisposedException("engine"));

        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting);
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await gate.EnterAsync(this, Token));
    }

    [Fact]
    public async Task However_many_come_and_go_no_more_are_inside_than_there_are_places()
    {
        var gate = new FairGate(3);
        int inside = 0, most = 0;
        await Task.WhenAll(Enumerable.Range(0, 200).Select(async i =>
        {
            using var cancel = new CancellationTokenSource();
            if (i % 5 == 0)
                cancel.CancelAfter(1);
            try
            {
                using var place = await gate.EnterAsync(i % 7, cancel.Token);
                InterlockedMax(ref most, Interlocked.Increment(ref inside));
                await Task.Yield();
                Interlocked.Decrement(ref inside);
            }
            catch (OperationCanceledException)
            {
            }
        }));

        Assert.InRange(most, 1, 3);
        Assert.Equal((3, 0), (gate.Free, gate.Waiting));
    }

    static void InterlockedMax(ref int most, int value)
    {
        for (int seen = most; value > seen; seen = most)
            Interlocked.CompareExchange(ref most, value, seen);
    }
}
