namespace MedVlm.Inference;

/// <summary>What a caption's caller is told of an error in the engine.</summary>
internal static class EngineErrors
{
    /// <param name="generation">The caption.</param>
    /// <param name="e">What happened.</param>
    /// <param name="stage">Where: "vision", "prefill".</param>
    /// <param name="stopping">Whether the engine is ending.</param>
    public static Exception Of(Generation generation, Exception e, string stage, bool stopping) =>
        generation.CancellationToken.IsCancellationRequested ? new OperationCanceledException(e.Message, e, generation.CancellationToken)
        : stopping ? new ObjectDisposedException("The captioner was disposed while this caption was being written.", e)
        : Translated(e, stage);

    public static Exception Translated(Exception e, string stage) => e switch
    {
        MedVlmException => e,
        OutOfMemoryException => new MedVlmException(
            $"Not enough memory for the {stage} of a caption. Use fewer slots, fewer new tokens, or a coarser image detail.", e),
        _ => new MedVlmException($"The {stage} of a caption failed in ONNX Runtime. {e.Message}", e),
    };
}
