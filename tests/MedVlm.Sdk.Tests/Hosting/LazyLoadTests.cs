using MedVlm.Tests.Samples;

namespace MedVlm.Tests.Hosting;

/// <summary>A registered captioner is loaded once, for all of its callers.</summary>
public sealed class LazyLoadTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_caller_that_gives_up_leaves_the_load_to_the_others()
    {
        int loads = 0;
        CancellationToken given = default;
        var loaded = new TaskCompletionSource<IMedicalCaptioner>();
        await using var captioner = new LazyMedicalCaptioner(token =>
        {
            (loads, given) = (loads + 1, token);
            return loaded.Task;
        });
        using var impatient = new CancellationTokenSource();
        var first = captioner.LoadAsync(impatient.Token).AsTask();
        var second = captioner.LoadAsync(Token).AsTask();

        await impatient.CancelAsync();

        var cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.Equal(impatient.Token, cancelled.CancellationToken);
        Assert.False(given.IsCancellationRequested);
        var tiny = new FakeCaptioner();
        loaded.SetResult(tiny);
        Assert.Same(tiny, await second);
        Assert.Same(tiny, await captioner.LoadAsync(Token));
        Assert.Equal(1, loads);
    }

    [Fact]
    public async Task A_load_that_failed_is_tried_again_by_the_next_caller()
    {
        int loads = 0;
        await using var captioner = new LazyMedicalCaptioner(_ => ++loads == 1
            ? throw new CheckpointException("damaged")
            : Task.FromResult<IMedicalCaptioner>(new FakeCaptioner()));

        await Assert.ThrowsAsync<CheckpointException>(() => captioner.LoadAsync(Token).AsTask());
        Assert.IsType<CheckpointException>(captioner.LoadError);

        Assert.IsType<FakeCaptioner>(await captioner.LoadAsync(Token));
        Assert.Null(captioner.LoadError);
    }
}
