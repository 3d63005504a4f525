using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>Where the weights of graphs are: in files that ONNX Runtime maps, or in memory of our own.</summary>
internal abstract class WeightSource : IDisposable
{
    // ONNX Runtime takes external data from one folder only.
    protected const string FolderEntry = "session.model_external_initializers_file_folder_path";

    /// <summary>Tells <paramref name="options"/> where the weights of <paramref name="graph"/> are.</summary>
    /// <returns>What must be disposed after the session.</returns>
    public abstract IReadOnlyList<OrtValue> Register(GraphBuilder graph, SessionOptions options);

    /// <summary>The bytes of a weight in its file. For a weight in own memory only the file's being there matters.</summary>
    public abstract ExternalData Place(WeightUse use);

    public abstract void Dispose();
}
