using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace MedVlm.Tests.Captioners;

/// <summary>The batch over a captioner whose captions end when the test says so: order, bounds, and what an ending leaves behind.</summary>
public sealed class CaptionBatchTests
{
    const int InFlight = 4;

    readonly HandCaptioner _captioner = new();
    int _pulled;
    bool _sourceDisposed;

    static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<CaptionOrder> Orders => [CaptionOrder.AsFinished, CaptionOrder.AsRequested];

    [Fact]
    public async Task Results_come_as_they_are_ready()
    {
        await using var results = Enumerate(CaptionOrder.AsFinished);
        var next = results.MoveNextAsync();

        _captioner.Finish(2);
        Assert.True(await next);
        Assert.Equal("2", results.Current.Request.Id);

        next = results.MoveNextAsync();
        _captioner.Finish(0);
        Assert.True(await next);
        Assert.Equal("0", results.Current.Request.Id);
    }

    [Fact]
    public async Task A_source_that_blocks_holds_no_result_back()
    {
        using var source = new BlockingCollection<CaptionRequest> { { new(MedicalImage.FromBytes(new byte[1])) { Id = "0" }, Token } };
        var results = CaptionBatch.RunAsync(_captioner, source.GetConsumingEnumerable(Token).ToAsyncEnumerable(), InFlight, cancellationToken: Token).GetAsyncEnumerator(Token);
        try
        {
            var next = Task.Run(() => results.MoveNextAsync().AsTask(), Token);
            _captioner.Finish(0);
            Assert.True(await next.WaitAsync(TimeSpan.FromSeconds(30), Token));
            Assert.Equal("0", results.Current.Request.Id);
        }
        finally
        {
            source.CompleteAdding();
            await results.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_request_that_is_null_ends_the_stream()
    {
        CaptionRequest[] requests = [null!];

        var error = await Assert.ThrowsAsync<ArgumentException>(async () =>
        {
            await foreach (var _ in CaptionBatch.RunAsync(_captioner, requests.ToAsyncEnumerable(), InFlight, cancellationToken: Token))
            { }
        });

        Assert.StartsWith("The source gave a request that is null.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Results_in_order_wait_for_those_before_them()
    {
        await using var results = Enumerate(CaptionOrder.AsRequested);
        var next = results.MoveNextAsync();

        _captioner.Finish(1);
        _captioner.Finish(3);
        _captioner.Fail(2);
        Assert.False(next.IsCompleted);

        _captioner.Finish(0);
        foreach (var id in (string[])["0", "1", "2", "3"])
        {
            Assert.True(await next);
            Assert.Equal(id, results.Current.Request.Id);
            Assert.Equal(id != "2", results.Current.Succeeded);
            next = id == "3" ? default : results.MoveNextAsync();
        }
    }

    [Fact]
    public async Task Results_in_order_that_wait_for_one_before_them_hold_the_source_back()
    {
        await using var results = Enumerate(CaptionOrder.AsRequested);
        var next = results.MoveNextAsync();

        // All but the first are ready, and nothing moves: the source is not read further.
        for (int i = 1; i < InFlight; i++)
            _captioner.Finish(i);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref _pulled) == InFlight + 1, TimeSpan.FromSeconds(30)));
        Assert.Equal(InFlight, _captioner.Started);
        Assert.False(next.IsCompleted);

        _captioner.Finish(0);
        Assert.True(await next);
        Assert.True(SpinWait.SpinUntil(() => _captioner.Started == InFlight + 1, TimeSpan.FromSeconds(30)));
        Assert.InRange(_pulled, InFlight + 1, InFlight + 2);
    }

    [Theory, MemberData(nameof(Orders))]
    public async Task A_reader_of_one_result_at_a_time_keeps_the_source_a_fixed_distance_ahead(CaptionOrder order)
    {
        _captioner.FinishAtOnce = true;
        await using var results = Enumerate(order);
        for (int read = 1; read <= 200; read++)
        {
            Assert.True(await results.MoveNextAsync());
            Assert.InRange(_pulled, read, read + InFlight + 1);
        }
    }

    [Theory, MemberData(nameof(Orders))]
    public async Task A_reader_that_leaves_ends_every_caption_and_the_source(CaptionOrder order)
    {
        var results = Enumerate(order);
        var next = results.MoveNextAsync();
        _captioner.Finish(0);
        Assert.True(await next);

        await results.DisposeAsync();

        Assert.Equal(_captioner.Started, _captioner.Ended);
        Assert.True(_sourceDisposed);
    }

    [Theory, MemberData(nameof(Orders))]
    public async Task A_disposed_captioner_ends_the_stream(CaptionOrder order)
    {
        await using var results = Enumerate(order);
        var next = results.MoveNextAsync();

        _captioner.Fail(1, new ObjectDisposedException("captioner"));

        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await next);
    }

    IAsyncEnumerator<CaptionResult> Enumerate(CaptionOrder order) =>
        CaptionBatch.RunAsync(_captioner, Source(Token), InFlight, new CaptionBatchOptions { Order = order }, Token).GetAsyncEnumerator(Token);

    async IAsyncEnumerable<CaptionRequest> Source([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        try
        {
            for (int i = 0; ; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Interlocked.Increment(ref _pulled);
                yield return new CaptionRequest(MedicalImage.FromBytes(new byte[1])) { Id = $"{i}" };
                if (_captioner.FinishAtOnce)
                    await Task.Yield();
            }
        }
        finally
        {
            _sourceDisposed = true;
        }
    }

    /// <summary>Continues on the thread of whoever finishes a caption, so that after <see cref="Finish"/> everything has happened.</summary>
    sealed class HandCaptioner : IMedicalCaptioner
    {
        readonly List<TaskCompletionSource<Caption>> _captions = [];
        int _ended;

        public bool FinishAtOnce { get; set; }

        public int Started
        {
            get
            {
                lock (_captions)
                    return _captions.Count;
            }
        }

        public int Ended => Volatile.Read(ref _ended);

        public void Finish(int caption) => At(caption).SetResult(Caption);

        public void Fail(int caption, Exception? error = null) => At(caption).SetException(error ?? new ImageException("damaged"));

        /// <summary>A caption, as soon as it was asked for.</summary>
        TaskCompletionSource<Caption> At(int caption)
        {
            Assert.True(SpinWait.SpinUntil(() => Started > caption, TimeSpan.FromSeconds(30)));
            lock (_captions)
                return _captions[caption];
        }

        public async Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default)
        {
            var caption = new TaskCompletionSource<Caption>();
            lock (_captions)
                _captions.Add(caption);
            try
            {
                return FinishAtOnce ? Caption : await caption.Task.WaitAsync(cancellationToken);
            }
            finally
            {
                Interlocked.Increment(ref _ended);
            }
        }

        static Caption Caption => new()
        {
            Text = "", TokenIds = [], FinishReason = FinishReason.EndOfSequence, Confidence = null, PromptTokens = 0, Timings = default, Model = "", Precision = default,
        };

        public IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(CaptionRequest request, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
            IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
