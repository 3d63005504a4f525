using MedVlm.Chat;
using Microsoft.Extensions.AI;

namespace MedVlm;

/// <summary>Between captioners and <see cref="IChatClient"/>: either can stand behind the other.</summary>
public static class MedicalCaptionerChatExtensions
{
    /// <summary>
    /// A chat client over this captioner: a single user message with at least one image (<see cref="DataContent"/>) and, if wanted, a
    /// prompt becomes a caption. Other roles, instructions and longer conversations throw <see cref="NotSupportedException"/>. What the chat options
    /// do not say is as the captioner's <see cref="MedicalCaptionerOptions.DefaultCaption"/> has it.
    /// </summary>
    /// <param name="captioner">The captioner; it stays the caller's to dispose.</param>
    public static IChatClient AsChatClient(this IMedicalCaptioner captioner)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        return new MedicalCaptionerChatClient(captioner);
    }

    /// <summary>A captioner over this chat client, for a backend that is not run by this library.</summary>
    /// <remarks>The images leave this process if the client sends them somewhere: that is the client's and its owner's decision.</remarks>
    /// <param name="client">A chat client that takes images; disposed with the captioner.</param>
    /// <param name="defaults">What captions are like whose request does not say. Default: see <see cref="CaptionOptions"/>.</param>
    /// <param name="limits">Limits for images. Default: see <see cref="ImageLimits"/>.</param>
    /// <param name="concurrency">Requests of a batch that are under way at once. Default: 4.</param>
    public static IMedicalCaptioner AsMedicalCaptioner(
        this IChatClient client, CaptionOptions? defaults = null, ImageLimits? limits = null, int concurrency = 4)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentOutOfRangeException.ThrowIfLessThan(concurrency, 1);
        return new ChatClientMedicalCaptioner(client, defaults ?? new(), limits ?? new(), concurrency);
    }
}
