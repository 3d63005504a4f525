using Microsoft.Extensions.Logging;

namespace MedVlm.HostedServiceSample;

/// <summary>What the service logs. Never file names or captions, which may tell of a patient: the key is the image's content's, as in its caption file.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1, LogLevel.Information, "Captioned image {Key}: {Tokens} tokens, {Milliseconds:F0} ms.")]
    public static partial void Captioned(ILogger logger, string key, int tokens, double milliseconds);

    [LoggerMessage(2, LogLevel.Information, "Image {Key} has its caption already: only moved.")]
    public static partial void Recognised(ILogger logger, string key);

    [LoggerMessage(3, LogLevel.Warning, "Image {Key} failed ({Error}) and moved to the folder \"failed\".")]
    public static partial void Failed(ILogger logger, string key, string error);

    [LoggerMessage(4, LogLevel.Information, "Image {Key} failed for now ({Error}), attempt {Attempt} of {MaxAttempts}.")]
    public static partial void WillRetry(ILogger logger, string key, string error, int attempt, int maxAttempts);

    [LoggerMessage(5, LogLevel.Warning, "An image cannot leave the inbox ({Error}); it stays until it can.")]
    public static partial void CannotMove(ILogger logger, string error);

    [LoggerMessage(6, LogLevel.Warning, "The outbox cannot be written ({Error}), attempt {Attempt} of {MaxAttempts}.")]
    public static partial void OutboxRetry(ILogger logger, string error, int attempt, int maxAttempts);

    [LoggerMessage(7, LogLevel.Warning, "The inbox cannot be read ({Error}); looking again at the next poll.")]
    public static partial void CannotRead(ILogger logger, string error);
}
