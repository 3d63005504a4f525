using System.Reflection;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>ONNX Runtime's process-wide environment: made once, telemetry off, the native library checked.</summary>
internal static class OnnxRuntimeEnvironment
{
    static readonly Lock s_lock = new();
    static bool s_ready;

    /// <summary>The text of the build warning MEDVLM001 and of the exception at run time.</summary>
    public const string MissingNative =
        "No native ONNX Runtime was found: MedVlm.Sdk runs models with it, but leaves its choice to the application. "
        + "Add one package to the application's project: Microsoft.ML.OnnxRuntime (CPU) or Microsoft.ML.OnnxRuntime.Gpu (NVIDIA CUDA).";

    /// <summary>Makes the environment if it is not there.</summary>
    /// <exception cref="NativeRuntimeException">The native library is missing, or is of another version than its C# part.</exception>
    public static void Ensure()
    {
        lock (s_lock)
        {
            if (s_ready)
                return;

            try
            {
                // An environment that the application made before us is the application's to configure.
                if (!OrtEnv.IsCreated)
                {
                    var options = new EnvironmentCreationOptions { logId = "MedVlm.Sdk", logLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
                    OrtEnv.CreateInstanceWithOptions(ref options).DisableTelemetryEvents();
                }
                s_ready = true;
            }
            catch (Exception e) when (Cause(e) is DllNotFoundException)
            {
                throw new NativeRuntimeException(MissingNative, e);
            }
            catch (Exception e) when (Cause(e) is EntryPointNotFoundException or BadImageFormatException)
            {
                throw new NativeRuntimeException(
                    "The native ONNX Runtime that was loaded is of another version or architecture than Microsoft.ML.OnnxRuntime.Managed: "
                    + "reference the native package in the same version.", e);
            }
        }
    }

    /// <summary>ONNX Runtime's own types load the library in a static constructor, which wraps what went wrong.</summary>
    static Exception Cause(Exception e) => e is TypeInitializationException or TargetInvocationException && e.InnerException is { } inner ? Cause(inner) : e;
}
