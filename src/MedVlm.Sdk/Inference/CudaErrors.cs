using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>What the caller of a load is told of a GPU that does not work.</summary>
internal static class CudaErrors
{
    const string Remedy =
        "Install the driver and the CUDA and cuDNN libraries that the version of Microsoft.ML.OnnxRuntime.Gpu asks for (1.31 and 1.32: CUDA 13, cuDNN 9, driver 580 or newer), "
        + "where the system finds them, or set Device to \"cpu\".";

    /// <summary>CUDA's execution provider does not load, or finds no GPU that it can use.</summary>
    public static NativeRuntimeException OfProvider(Exception e) => new($"ONNX Runtime cannot use the GPU. {Remedy} ({e.Message.Trim()})", e);

    /// <summary>
    /// Runs one token on the GPU. Some of what CUDA lacks shows only when it computes: cuDNN, or kernels for so old a GPU. It then ends the load,
    /// rather than every caption.
    /// </summary>
    /// <exception cref="NativeRuntimeException">The GPU cannot compute it.</exception>
    /// <exception cref="InsufficientMemoryException">There is not memory enough for one token.</exception>
    public static void Try(LoadedModel model, string arena)
    {
        try
        {
            DecoderArena.RunOneToken(model, arena);
        }
        catch (OnnxRuntimeException e)
        {
            throw EngineErrors.IsOutOfMemory(e) ? EngineErrors.OfLoad(e, "decoder") : new NativeRuntimeException($"The GPU cannot run the model. {Remedy} ({e.Message.Trim()})", e);
        }
    }
}
