using MedVlm.Graphs;
using MedVlm.Kernels;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>A graph, loaded and ready to run.</summary>
internal sealed class GraphSession : IDisposable
{
    readonly IReadOnlyList<OrtValue> _weights;

    /// <summary>Loads a graph.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="weights">Where its weights are.</param>
    /// <param name="settings">How it is to be run.</param>
    /// <param name="cuda">Options of the CUDA execution provider; null for the CPU.</param>
    /// <exception cref="MedVlmException">ONNX Runtime cannot load it, or has no such device.</exception>
    /// <exception cref="InsufficientMemoryException">The device has not memory enough for its weights.</exception>
    public GraphSession(GraphBuilder graph, WeightSource weights, RuntimeSettings settings, IReadOnlyDictionary<string, string>? cuda = null)
    {
        OnnxRuntimeEnvironment.Ensure();
        using var options = settings.ToSessionOptions(graph.Name);
        if (cuda is not null)
            AppendCuda(options, cuda);
        if (graph.IntegerKernels)
            CustomOperators.Register(options);
        _weights = weights.Register(graph, options);
        try
        {
            Session = new InferenceSession(graph.ToBytes(weights.Place), options);
        }
        catch (OnnxRuntimeException e)
        {
            DisposeWeights();
            throw EngineErrors.OfLoad(e, graph.Name);
        }
    }

    public InferenceSession Session { get; }

    static void AppendCuda(SessionOptions options, IReadOnlyDictionary<string, string> cuda)
    {
        try
        {
            using var provider = new OrtCUDAProviderOptions();
            provider.UpdateOptions(new Dictionary<string, string>(cuda));
            options.AppendExecutionProvider_CUDA(provider);
        }
        catch (Exception e) when (e is OnnxRuntimeException or EntryPointNotFoundException)
        {
            throw CudaErrors.OfProvider(e);
        }
    }

    public void Dispose()
    {
        Session.Dispose();
        DisposeWeights();
    }

    // After the session: it reads these values for as long as it lives.
    void DisposeWeights()
    {
        foreach (var value in _weights)
            value.Dispose();
    }
}
