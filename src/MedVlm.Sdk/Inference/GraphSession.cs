using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>A graph, loaded and ready to run.</summary>
internal sealed class GraphSession : IDisposable
{
    readonly IReadOnlyList<OrtValue> _weights;

    public GraphSession(GraphBuilder graph, WeightSource weights, RuntimeSettings settings)
    {
        OnnxRuntimeEnvironment.Ensure();
        using var options = settings.ToSessionOptions(graph.Name);
        _weights = weights.Register(graph, options);
        try
        {
            Session = new InferenceSession(graph.ToBytes(weights.Place), options);
        }
        catch (OnnxRuntimeException e)
        {
            DisposeWeights();
            throw new MedVlmException($"ONNX Runtime cannot load the {graph.Name} graph. {e.Message}", e);
        }
    }

    public InferenceSession Session { get; }

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
