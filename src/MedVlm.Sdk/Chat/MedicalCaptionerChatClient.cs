using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace MedVlm.Chat;

/// <summary>An <see cref="IChatClient"/> in front of a captioner: the last message's images and text become one caption.</summary>
internal sealed class MedicalCaptionerChatClient(IMedicalCaptioner captioner) : IChatClient
{
    public async Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        await GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken).ConfigureAwait(false);

    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var request = ToRequest(messages, options, await DefaultsAsync(cancellationToken).ConfigureAwait(false));
        var id = Guid.NewGuid().ToString("N");
        await foreach (var update in captioner.CaptionStreamingAsync(request, cancellationToken).ConfigureAwait(false))
        {
            if (update.Text.Length > 0)
                yield return new ChatResponseUpdate(ChatRole.Assistant, update.Text) { ResponseId = id, MessageId = id };
            if (update.Caption is { } caption)
                yield return new ChatResponseUpdate(ChatRole.Assistant, [Usage(caption)])
                {
                    ResponseId = id,
                    MessageId = id,
                    ModelId = caption.Model,
                    FinishReason = caption.FinishReason == FinishReason.MaxNewTokens ? ChatFinishReason.Length : ChatFinishReason.Stop,
                };
        }
    }

    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is null && serviceType == typeof(ChatClientMetadata)
            ? new ChatClientMetadata("medvlm", defaultModelId: captioner.GetService<CaptionerMetadata>()?.Model)
            : serviceKey is null && serviceType.IsInstanceOfType(this) ? this
            : captioner.GetService(serviceType, serviceKey);
    }

    /// <summary>Nothing: the captioner belongs to whoever made it.</summary>
    public void Dispose() { }

    static UsageContent Usage(Caption caption) => new(new UsageDetails
    {
        InputTokenCount = caption.PromptTokens,
        OutputTokenCount = caption.TokenIds.Count,
        TotalTokenCount = caption.PromptTokens + caption.TokenIds.Count,
    });

    /// <summary>What the captioner does where nothing is asked; a registered one is loaded first, since only then it knows.</summary>
    async ValueTask<CaptionOptions> DefaultsAsync(CancellationToken cancellationToken)
    {
        await LazyMedicalCaptioner.LoadBehindAsync(captioner, cancellationToken).ConfigureAwait(false);
        return captioner.GetService<CaptionerMetadata>()?.DefaultCaption ?? new CaptionOptions();
    }

    static CaptionRequest ToRequest(IEnumerable<ChatMessage> messages, ChatOptions? options, CaptionOptions defaults)
    {
        ArgumentNullException.ThrowIfNull(messages);
        if (messages.ToList() is not [{ } message] || message.Role != ChatRole.User)
            throw new NotSupportedException("A captioner answers a single user message with its images: it keeps no conversation and takes no system message.");
        if (!string.IsNullOrWhiteSpace(options?.Instructions))
            throw new NotSupportedException("A captioner takes no instructions beside its prompt: put them into the message's text.");

        var images = message.Contents.OfType<DataContent>().Where(data => data.HasTopLevelMediaType("image"))
            .Select(data => MedicalImage.FromBytes(data.Data)).ToList();
        if (images.Count == 0)
            throw new ArgumentException("The message holds no image: add a DataContent with an image media type.", nameof(messages));

        return new CaptionRequest(images)
        {
            Options = defaults with
            {
                Prompt = message.Text is { Length: > 0 } text ? text : defaults.Prompt,
                MaxNewTokens = options?.MaxOutputTokens ?? defaults.MaxNewTokens,
                Temperature = options?.Temperature ?? defaults.Temperature,
                TopP = options?.TopP ?? defaults.TopP,
                TopK = options?.TopK ?? defaults.TopK,
                Seed = options?.Seed is { } seed ? unchecked((int)seed) : defaults.Seed,
                StopSequences = options?.StopSequences is { } stops ? [.. stops] : defaults.StopSequences,
            },
        };
    }
}
