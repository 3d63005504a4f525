using System.Runtime.CompilerServices;
using Microsoft.Extensions.Options;

namespace MedVlm.Tests.Captioners;

/// <summary>What every <see cref="IMedicalCaptioner"/> promises, whatever stands behind it. A backend derives and gives captioners.</summary>
public abstract class MedicalCaptionerContract : IAsyncLifetime
{
    IMedicalCaptioner _captioner = null!;

    /// <summary>A captioner over the TinyModel, made anew.</summary>
    protected abstract Task<IMedicalCaptioner> CreateAsync();

    static CancellationToken Token => TestContext.Current.CancellationToken;

    static CaptionRequest Xray => Request("01-chest-xray-clear.jpg");

    static CaptionRequest BadRequest => new(MedicalImage.FromBytes("not an image"u8.ToArray())) { Id = "bad" };

    static CaptionRequest Request(string file) => new(MedicalImage.FromFile(Path.Combine(TestFolders.Phantoms, file))) { Id = file };

    static readonly (string File, string Text)[] s_known =
    [
        ("01-chest-xray-clear.jpg", "Frontal chest radiograph with clear lungs."), ("05-hand-xray.jpg", "Frontal radiograph of the hand."),
        ("07-head-ct.png", "Axial CT of the head."), ("14-abdomen-ct.jpg", "Axial CT of the abdomen."),
        ("21-breast-mri.png", "Axial MRI of the breasts."), ("22-histology-lung-adenocarcinoma.jpg", "H&E-stained section of lung adenocarcinoma."),
    ];

    public async ValueTask InitializeAsync() => _captioner = await CreateAsync();

    public async ValueTask DisposeAsync()
    {
        await _captioner.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Captions_an_image()
    {
        var caption = await _captioner.CaptionAsync(Xray, Token);

        Assert.Equal("Frontal chest radiograph with clear lungs.", caption.Text);
        Assert.Equal(FinishReason.EndOfSequence, caption.FinishReason);
        Assert.True(caption.Timings.Total > TimeSpan.Zero);
        Assert.NotEmpty(caption.Model);
    }

    [Fact]
    public async Task Streams_the_text_and_ends_with_the_caption()
    {
        var updates = await _captioner.CaptionStreamingAsync(Xray, Token).ToListAsync(Token);

        Assert.True(updates.Count > 2);
        Assert.All(updates.SkipLast(1), update => Assert.Null(update.Caption));
        Assert.Equal(string.Concat(updates.Select(update => update.Text)), updates[^1].Caption!.Text);
    }

    [Fact]
    public async Task Gives_each_request_of_a_batch_its_own_result_once()
    {
        var requests = Enumerable.Range(0, 5).SelectMany(_ => s_known.Select(known => Request(known.File))).ToList();

        var results = await _captioner.CaptionBatchAsync(requests, Token).ToListAsync(Token);

        Assert.Equal(requests.Count, results.Count);
        Assert.Equal(requests.Count, results.DistinctBy(result => result.Request, ReferenceEqualityComparer.Instance).Count());
        Assert.All(results, result => Assert.Equal(s_known.Single(known => known.File == result.Request.Id).Text, result.Caption?.Text));
    }

    [Fact]
    public async Task Gives_results_in_the_order_of_the_requests_where_that_is_asked_for()
    {
        // Long captions, short ones and failures, so that later requests are ready before earlier ones.
        var requests = Enumerable.Range(0, 24).Select(i => i % 7 == 6 ? BadRequest : Request(s_known[i % s_known.Length].File) with
        {
            Options = i % 3 == 0 ? null : new CaptionOptions { MaxNewTokens = 1 },
        }).ToList();

        var results = await _captioner.CaptionBatchAsync(requests, new CaptionBatchOptions { Order = CaptionOrder.AsRequested }, Token).ToListAsync(Token);

        Assert.Equal(requests, results.Select(result => result.Request), ReferenceEqualityComparer.Instance);
        Assert.All(results, result => Assert.Equal(result.Request.Id != "bad", result.Succeeded));
    }

    [Fact]
    public async Task A_bad_image_is_a_failed_result_and_does_not_end_the_batch()
    {
        var results = await _captioner.CaptionBatchAsync([BadRequest, Xray, BadRequest, Request("07-head-ct.png")], Token).ToListAsync(Token);

        Assert.Equal(4, results.Count);
        Assert.Equal(2, results.Count(result => result.Succeeded));
        Assert.All(results.Where(result => result.Request.Id == "bad"), result => Assert.IsType<ImageException>(result.Error));
    }

    [Fact]
    public async Task A_bad_image_throws_where_it_is_the_only_one() =>
        await Assert.ThrowsAsync<ImageException>(() => _captioner.CaptionAsync(BadRequest, Token));

    [Fact]
    public async Task An_error_of_the_source_reaches_the_reader_after_the_results_before_it()
    {
        var read = new List<CaptionResult>();
        var error = await Assert.ThrowsAsync<InvalidDataException>(async () =>
        {
            await foreach (var result in _captioner.CaptionBatchAsync(Source(), Token))
                read.Add(result);
        });

        Assert.Equal("the list ends here", error.Message);
        Assert.True(Assert.Single(read).Succeeded);

        static async IAsyncEnumerable<CaptionRequest> Source()
        {
            yield return Xray;
            await Task.Yield();
            throw new InvalidDataException("the list ends here");
        }
    }

    [Theory, InlineData(CaptionOrder.AsFinished), InlineData(CaptionOrder.AsRequested)]
    public async Task A_slow_reader_holds_the_source_back(CaptionOrder order)
    {
        int pulled = 0;
        await using var results = _captioner.CaptionBatchAsync(Endless(Token), new CaptionBatchOptions { Order = order }, Token).GetAsyncEnumerator(Token);
        Assert.True(await results.MoveNextAsync());

        int before = -1;
        for (int same = 0; same < 5; same = before == Volatile.Read(ref pulled) ? same + 1 : 0)
        {
            before = Volatile.Read(ref pulled);
            await Task.Delay(100, Token);
        }
        Assert.InRange(pulled, 1, 20);

        async IAsyncEnumerable<CaptionRequest> Endless([EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            while (!cancellationToken.IsCancellationRequested)
            {
                Interlocked.Increment(ref pulled);
                yield return Xray;
                await Task.Yield();
            }
        }
    }

    [Fact]
    public async Task Leaving_an_enumeration_early_leaves_the_captioner_usable()
    {
        for (int i = 0; i < 10; i++)
        {
            await _captioner.CaptionStreamingAsync(Xray, Token).FirstAsync(Token);
            await _captioner.CaptionBatchAsync(s_known.Select(known => Request(known.File)), Token).FirstAsync(Token);
        }

        Assert.Equal("Frontal chest radiograph with clear lungs.", (await _captioner.CaptionAsync(Xray, Token)).Text);
    }

    [Fact]
    public async Task A_cancelled_token_ends_every_call()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _captioner.CaptionAsync(Xray, cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            await _captioner.CaptionStreamingAsync(Xray, cancelled.Token).ToListAsync(Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            await _captioner.CaptionBatchAsync([Xray], cancelled.Token).ToListAsync(Token));
    }

    [Fact]
    public async Task Cancelling_in_the_middle_ends_a_batch_and_leaves_the_captioner_usable()
    {
        using var cancel = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in _captioner.CaptionBatchAsync(Enumerable.Repeat(Xray, 1000), cancel.Token).WithCancellation(Token))
                await cancel.CancelAsync();
        });

        Assert.Equal("Frontal chest radiograph with clear lungs.", (await _captioner.CaptionAsync(Xray, Token)).Text);
    }

    [Fact]
    public async Task Many_callers_at_once_get_each_their_own_caption()
    {
        await Task.WhenAll(Enumerable.Range(0, 24).Select(async i =>
        {
            var (file, text) = s_known[i % s_known.Length];
            Assert.Equal(text, (await _captioner.CaptionAsync(Request(file), Token)).Text);
        }));
    }

    [Fact]
    public async Task Stops_at_the_number_of_tokens_asked_for()
    {
        var caption = await _captioner.CaptionAsync(Xray with { Options = new CaptionOptions { MaxNewTokens = 2 } }, Token);

        Assert.Equal("Frontal chest", caption.Text);
        Assert.Equal(FinishReason.MaxNewTokens, caption.FinishReason);
    }

    [Fact]
    public async Task Stops_at_a_stop_sequence_and_cuts_it_off()
    {
        var updates = await _captioner.CaptionStreamingAsync(
            Xray with { Options = new CaptionOptions { StopSequences = ["graph with"] } }, Token).ToListAsync(Token);

        Assert.Equal("Frontal chest radio", updates[^1].Caption!.Text);
        Assert.Equal("Frontal chest radio", string.Concat(updates.Select(update => update.Text)));
    }

    [Fact]
    public async Task Refuses_options_out_of_range()
    {
        var error = await Assert.ThrowsAsync<OptionsValidationException>(
            () => _captioner.CaptionAsync(Xray with { Options = new CaptionOptions { MaxNewTokens = 0 } }, Token));

        Assert.Equal("MaxNewTokens: The field CaptionOptions.MaxNewTokens must be between 1 and 8192.", error.Message);
    }

    [Fact]
    public async Task Refuses_null()
    {
        await Assert.ThrowsAsync<ArgumentNullException>(() => _captioner.CaptionAsync((CaptionRequest)null!, Token));
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await _captioner.CaptionStreamingAsync((CaptionRequest)null!, Token).ToListAsync(Token));
        await Assert.ThrowsAsync<ArgumentNullException>(
            async () => await _captioner.CaptionBatchAsync((IAsyncEnumerable<CaptionRequest>)null!, Token).ToListAsync(Token));
        Assert.Throws<ArgumentNullException>(() => _captioner.GetService(null!));
    }

    [Fact]
    public async Task Tells_what_stands_behind_it()
    {
        await _captioner.CaptionAsync(Xray, Token);

        Assert.Equal("MedVlm.Sdk.TinyModel", _captioner.GetService<CaptionerMetadata>()!.Model);
        Assert.Null(_captioner.GetService<CaptionerMetadata>("another key"));
        Assert.Null(_captioner.GetService<string>());
    }
}
