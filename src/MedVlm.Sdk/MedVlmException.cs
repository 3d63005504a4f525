namespace MedVlm;

/// <summary>Base of every error that this library reports on purpose: what is wrong, where, and what to do.</summary>
/// <remarks>Messages hold no patient data: no pixels, captions or image file names.</remarks>
public class MedVlmException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong, where, and what to do about it.</param>
    /// <param name="innerException">The cause, if another error lies beneath.</param>
    public MedVlmException(string message, Exception? innerException = null) : base(message, innerException) { }
}

/// <summary>A checkpoint file is missing, damaged, or does not belong to its config.json.</summary>
public sealed class CheckpointException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public CheckpointException(string message, Exception? innerException = null) : base(message, innerException) { }
}

/// <summary>The model's name leads to no checkpoint on this machine.</summary>
public sealed class ModelNotFoundException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public ModelNotFoundException(string message, Exception? innerException = null) : base(message, innerException) { }
}

/// <summary>The checkpoint is of a model family, or uses a setting, that this library does not run.</summary>
public sealed class UnsupportedModelException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public UnsupportedModelException(string message, Exception? innerException = null) : base(message, innerException) { }
}

/// <summary>An image cannot be decoded, or goes beyond the limits set for untrusted input.</summary>
public sealed class ImageException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public ImageException(string message, Exception? innerException = null) : base(message, innerException) { }
}

/// <summary>A native library is missing or does not load: ONNX Runtime, which runs the models, or libvips, which decodes images.</summary>
public sealed class NativeRuntimeException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public NativeRuntimeException(string message, Exception? innerException = null) : base(message, innerException) { }
}

/// <summary>The model does not fit into the device's memory, or not in the way that the options ask for; or a caption does not, even alone.</summary>
public sealed class InsufficientMemoryException : MedVlmException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong and what to do, with the plan as a table.</param>
    /// <param name="plan">The plan that found no way; null where there is none.</param>
    /// <param name="innerException">The cause, if another error lies beneath.</param>
    public InsufficientMemoryException(string message, MemoryPlan? plan = null, Exception? innerException = null) : base(message, innerException) => Plan = plan;

    /// <summary>The plan that found no way; null where there is none.</summary>
    public MemoryPlan? Plan { get; }
}
