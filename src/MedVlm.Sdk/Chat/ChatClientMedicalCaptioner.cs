using System.Runtime.CompilerServices;
using MedVlm.Imaging;
using Microsoft.Extensions.AI;

namespace MedVlm.Chat;

/// <summary>An <see cref="IMedicalCaptioner"/> in front of any chat client that takes images.</summary>
/// <remarks>
/// The images are decoded as for our own models (limits, orientation, 16-bit window) and sent as PNG, so that the backend sees the same
/// pixels. What a chat client has no word for (repetition penalty, image detail) is left to the backend.
/// </remarks>
internal sealed class ChatClientMedicalCaptioner(IChatClient client, CaptionOptions defaults, ImageLimits limits, int concurrency) : IMedicalCaptioner
{
    public async Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default)
    {
        await foreach (var update in CaptionStreamingAsync(request, cancellationToken).ConfigureAwait(false))
            if (update.Caption is { } caption)
                return caption;
        throw new System.Diagnostics.UnreachableException();
    }

    public async IAsyncEnumerable<CaptionUpdate> CaptionStreamingAsync(
        CaptionRequest request, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        var options = (request.Options ?? defaults).Snapshot();
        OptionsChecks.ThrowIfInvalid(options);

        var start = TimeProvider.System.GetTimestamp();
        var content = new List<AIContent>();
        foreach (var image in request.Images)
            content.Add(new DataContent(PngEncoder.Encode(await image.DecodeAsync(limits, cancellationToken).ConfigureAwait(false)), "image/png"));
        content.Add(new TextContent(options.Prompt ?? defaults.Prompt ?? client.GetService<CaptionerMetadata>()?.DefaultPrompt ?? CaptionOptions.DefaultPrompt));
        var preprocess = TimeProvider.System.GetElapsedTime(start);

        start = TimeProvider.System.GetTimestamp();
        var text = new TrimmedText();
        ChatFinishReason? finish = null;
        UsageDetails? usage = null;
        string? model = null;
        await foreach (var update in client.GetStreamingResponseAsync(
            [new ChatMessage(ChatRole.User, content)], Translate(options), cancellationToken).ConfigureAwait(false))
        {
            finish = update.FinishReason ?? finish;
            model = update.ModelId ?? model;
            usage = update.Contents.OfType<UsageContent>().LastOrDefault()?.Details ?? usage;

            if (text.Add(update.Text) is { Length: > 0 } piece)
                yield return new CaptionUpdate { Text = piece };
        }

        yield return new CaptionUpdate
        {
            Text = "",
            Caption = new Caption
            {
                Text = text.ToString(),
                TokenIds = [],
                FinishReason = finish == ChatFinishReason.Length ? FinishReason.MaxNewTokens : FinishReason.EndOfSequence,
                Confidence = null,
                PromptTokens = (int)(usage?.InputTokenCount ?? 0),
                Timings = new CaptionTimings(preprocess, default, default, default, TimeProvider.System.GetElapsedTime(start)),
                Model = model ?? client.GetService<ChatClientMetadata>()?.DefaultModelId ?? "",
                Precision = Precision.Auto,
            },
        };
    }

    public IAsyncEnumerable<CaptionResult> CaptionBatchAsync(
        IAsyncEnumerable<CaptionRequest> requests, CaptionBatchOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(requests);
        return CaptionBatch.RunAsync(this, requests, concurrency, options, cancellationToken);
    }

    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is null && serviceType.IsInstanceOfType(this) ? this : client.GetService(serviceType, serviceKey);
    }

    public ValueTask DisposeAsync()
    {
        client.Dispose();
        return ValueTask.CompletedTask;
    }

    static ChatOptions Translate(CaptionOptions options) => new()
    {
        MaxOutputTokens = options.MaxNewTokens,
        Temperature = options.Temperature,
        TopP = options.TopP < 1 ? options.TopP : null,
        TopK = options.TopK,
        Seed = options.Seed,
        StopSequences = options.StopSequences.Count > 0 ? [.. options.StopSequences] : null,
    };
}
