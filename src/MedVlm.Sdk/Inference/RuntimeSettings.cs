using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Kernels;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>How ONNX Runtime is to run the graphs.</summary>
/// <param name="Threads">Threads of an operator; null is one for each physical core that this process may use.</param>
/// <param name="ProfileFolder">Where ONNX Runtime writes a profile of each graph; null writes none.</param>
internal sealed record RuntimeSettings(int? Threads = null, string? ProfileFolder = null)
{
    /// <summary>Number format of weights and arithmetic.</summary>
    public Precision Precision { get; init; }

    /// <summary>Runs the graphs of a plan for CUDA on the CPU, slowly: that is how tests see what they compute without a GPU.</summary>
    public bool EmulateCuda { get; init; }

    /// <summary>Whether the operators of <see cref="CustomOperators"/> are used on a CPU.</summary>
    public bool IntegerKernels { get; init; } = CustomOperators.AreSupported;

    /// <summary>
    /// Whether ONNX Runtime packs the matrices of a graph on all threads. It then keeps all that it packs from until it is done, which of a
    /// mapped file are pages that the system can take back, but of widened weights would be memory.
    /// </summary>
    public bool PacksInParallel { get; init; }

    /// <summary>Where quantised weights are kept.</summary>
    public QuantisedCache Cache { get; init; } = QuantisedCache.FromEnvironment(Environment.GetEnvironmentVariable);

    /// <summary>The processor: ONNX Runtime counts the machine's cores, and would run 64 threads in a container that may use two.</summary>
    public ComputeDevice Processor { get; init; } = CpuDetector.Detect();

    /// <summary>Entries of ONNX Runtime's session configuration, over those that we set: to measure what they do.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> SessionEntries { get; init; } = [];

    // On CUDA it would fold RotaryEmbedding into GroupQueryAttention, which takes a row of the angles for each position, and knows nothing of the rows
    // that RotaryEmbedding is told: ours are of the run's tokens only.
    const string Unwanted = "GroupQueryAttentionFusion";

    public SessionOptions ToSessionOptions(string graphName)
    {
        var options = new SessionOptions
        {
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            IntraOpNumThreads = Threads ?? Processor.ThreadLimit ?? 0,
            InterOpNumThreads = 1,
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR,
        };
        options.AddSessionConfigEntry("optimization.disable_specified_optimizers", Unwanted);
        if (PacksInParallel)
            options.AddSessionConfigEntry("session.prepack.enable_parallel", "1");
        if (ProfileFolder is not null)
        {
            options.ProfileOutputPathPrefix = Path.Combine(ProfileFolder, graphName);
            options.EnableProfiling = true;
        }
        foreach (var (key, value) in SessionEntries)
            options.AddSessionConfigEntry(key, value);
        return options;
    }
}
