using Microsoft.Extensions.Logging;

namespace MedVlm;

/// <summary>What this library logs. Never file names, prompts or captions: they may tell of a patient.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1, LogLevel.Information, "Loaded {Model} in {Precision} on {Device}, {Slots} slots, {Milliseconds:F0} ms.")]
    public static partial void ModelLoaded(ILogger logger, string model, Precision precision, string device, int slots, double milliseconds);

    [LoggerMessage(2, LogLevel.Warning, "{Notice}")]
    public static partial void Notice(ILogger logger, string notice);

    [LoggerMessage(3, LogLevel.Debug, "Captioned: {Tokens} tokens after a prompt of {PromptTokens}, {Milliseconds:F0} ms.")]
    public static partial void Captioned(ILogger logger, int tokens, int promptTokens, double milliseconds);

    [LoggerMessage(4, LogLevel.Warning, "Memory did not suffice for {Before} captions at once: from now on {After} are decoded together.")]
    public static partial void SlotsReduced(ILogger logger, int before, int after);

    [LoggerMessage(5, LogLevel.Warning, "Memory did not suffice for {Before} images in one run of the vision tower: from now on runs are of half that size, {After} of these images.")]
    public static partial void VisionRunReduced(ILogger logger, int before, int after);

    [LoggerMessage(6, LogLevel.Information, "The weights are quantised by the calibration in the cache.")]
    public static partial void Calibrated(ILogger logger);
}
