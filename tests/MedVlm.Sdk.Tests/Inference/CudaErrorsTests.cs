using MedVlm.Inference;

namespace MedVlm.Tests.Inference;

/// <summary>A GPU that does not work ends the load, and the message says what to install.</summary>
public sealed class CudaErrorsTests
{
    const string Remedy =
        "Install the driver and the CUDA and cuDNN libraries that the version of Microsoft.ML.OnnxRuntime.Gpu asks for (1.31 and 1.32: CUDA 13, cuDNN 9, driver 580 or newer), "
        + "where the system finds them, or set Device to \"cpu\".";

    [Fact]
    public void A_provider_that_does_not_load_is_told() => Assert.Equal(
        $"ONNX Runtime cannot use the GPU. {Remedy} (Failed to load library libonnxruntime_providers_cuda.so)",
        CudaErrors.OfProvider(new EntryPointNotFoundException("Failed to load library libonnxruntime_providers_cuda.so\n")).Message);

    [Fact]
    public void What_runs_a_token_is_fit_for_use()
    {
        using var model = Load();

        CudaErrors.Try(model, "cpu:0");
    }

    [Fact]
    public void What_cannot_run_one_token_is_told()
    {
        using var model = Load();

        // The CPU's session has no memory of this name, and so the run fails.
        var error = Assert.Throws<NativeRuntimeException>(() => CudaErrors.Try(model, "gpu:0"));

        Assert.StartsWith($"The GPU cannot run the model. {Remedy} ([ErrorCode:", error.Message, StringComparison.Ordinal);
    }

    static LoadedModel Load() => LoadedModel.Load(TestFolders.TinyModel, null, new RuntimeSettings(), TestContext.Current.CancellationToken);
}
