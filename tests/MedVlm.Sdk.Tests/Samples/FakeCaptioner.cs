namespace MedVlm.Tests.Samples;

/// <summary>A captioner without a model: it really decodes the images, and says what a test wants.</summary>
internal sealed class FakeCaptioner(Func<CaptionRequest, CancellationToken, Task>? before = null) : IMedicalCaptioner
{
    int _captioned;

    /// <summary>How many captions were written.</summary>
    public int Captioned => _captioned;

    public async Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default)
    {
        if (before is not null)
            await before(request, cancellationToken);
        await request.Images[0].DecodeAsync(new ImageLimits(), cancellationToken);
        Interlocked.Increment(ref _captioned);
        return new Caption
        {
            Text = $"Caption of {request.Id}", TokenIds = [1, 2], FinishReason = FinishReason.EndOfSequence, Confidence = 0.5, PromptTokens = 3,
            Timings = default, Model = "fake", Precision = Precision.Fp32,
        };
    }

    public IAsyncEnumerable<CaptionResult> CaptionBatchAsync(IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null, CancellationToken cancellationToken = default) =>
        CaptionBatch.RunAsync(this, requests, maxInFlight: 4, options, cancellationToken);

    public IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(CaptionRequest request, CancellationToken cancellationToken = default) =>
        throw new NotSupportedException();

    public object? GetService(Type serviceType, object? serviceKey = null) => null;

    public ValueTask DisposeAsync() => default;
}
