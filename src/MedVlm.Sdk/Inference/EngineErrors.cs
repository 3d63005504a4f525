using Microsoft.ML.OnnxRuntime;

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

    /// <summary>Whether memory has run out: the host's, or what the device's arena may take. ONNX Runtime says so in words only.</summary>
    public static bool IsOutOfMemory(Exception e) => e is OutOfMemoryException
        || e is OnnxRuntimeException && s_outOfMemory.Any(words => e.Message.Contains(words, StringComparison.OrdinalIgnoreCase));

    // The arena's two sentences, std::bad_alloc, and CUDA's, cuBLAS's and cuDNN's own names.
    static readonly string[] s_outOfMemory =
    [
        "Failed to allocate memory", "smaller than requested bytes", "bad_alloc", "bad allocation", "out of memory", "cudaErrorMemoryAllocation", "ALLOC_FAILED", "ALLOCATION_FAILED",
    ];

    /// <summary>What the caller of a load is told.</summary>
    /// <param name="e">What happened.</param>
    /// <param name="graph">To which graph.</param>
    public static MedVlmException OfLoad(OnnxRuntimeException e, string graph) => IsOutOfMemory(e)
        ? new InsufficientMemoryException(
            $"Not enough memory to load the {graph} graph: other programs have taken some since the memory plan was made, or it takes more than planned. Free some, set "
            + $"MaxDeviceMemoryMiB to less, or choose a lower precision. ({e.Message.Trim()})", innerException: e)
        : new MedVlmException($"ONNX Runtime cannot load the {graph} graph. {e.Message}", e);

    /// <summary>What the caller of a calibration is told.</summary>
    /// <param name="e">What happened.</param>
    public static Exception OfCalibration(Exception e) => e switch
    {
        MedVlmException => e,
        _ when IsOutOfMemory(e) => new InsufficientMemoryException(
            $"Not enough memory to run the model on an image for its calibration, which computes in FP32 on the CPU. Use a coarser image detail, or a machine with more memory. ({e.Message})",
            innerException: e),
        _ => new MedVlmException($"Running the model on an image for its calibration failed in ONNX Runtime. {e.Message}", e),
    };

    public static Exception Translated(Exception e, string stage) => e switch
    {
        MedVlmException => e,
        _ when IsOutOfMemory(e) && stage == "vision" => new InsufficientMemoryException(
            $"Not enough memory for the vision of a caption, not even with the memory of all slots. Use a coarser image detail. ({e.Message})",
            innerException: e),
        _ when IsOutOfMemory(e) => new InsufficientMemoryException(
            $"Not enough memory for the {stage} of a caption. Use fewer slots, fewer new tokens, or a coarser image detail. ({e.Message})",
            innerException: e),
        _ => new MedVlmException($"The {stage} of a caption failed in ONNX Runtime. {e.Message}", e),
    };
}
