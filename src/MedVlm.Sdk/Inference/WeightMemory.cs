using MedVlm.Checkpoints;
using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>
/// The weights as ONNX Runtime is given them: float32 tensors as they lie in the mapped file, the others widened once into memory of
/// our own. Lives as long as the sessions that use it.
/// </summary>
internal sealed class WeightMemory : IDisposable
{
    // ONNX Runtime takes external data from one folder only; shards that lie elsewhere are copied.
    readonly string _folder;
    readonly IReadOnlyDictionary<string, StoredTensor> _tensors;
    readonly Dictionary<string, NativeBuffer> _widened = [];

    public WeightMemory(IReadOnlyDictionary<string, StoredTensor> tensors)
    {
        _tensors = tensors;

        // The hub cache holds links: ONNX Runtime refuses them, so the blobs' own folder and names are given.
        _folder = Path.GetDirectoryName(tensors.Values.First().File.ResolvedPath)!;
    }

    /// <summary>Bytes of own memory.</summary>
    public long Bytes => _widened.Values.Sum(buffer => (long)buffer.Length);

    /// <summary>Tells <paramref name="options"/> where the weights of <paramref name="graph"/> are.</summary>
    /// <returns>What must be disposed after the session.</returns>
    public IReadOnlyList<OrtValue> Register(GraphBuilder graph, SessionOptions options)
    {
        options.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", _folder);

        var values = new List<OrtValue>();
        foreach (var use in graph.Weights)
        {
            if (IsUsableAsItLies(_tensors[use.StoredName]))
                continue;

            var value = Float32Value(use);
            values.Add(value);
            options.AddInitializer(use.Initializer, value);
        }
        return values;
    }

    /// <summary>The bytes of a weight in its file. For a widened weight only the file's being there matters.</summary>
    public ExternalData Place(WeightUse use)
    {
        var stored = _tensors[use.StoredName];
        return new ExternalData(Path.GetFileName(stored.File.ResolvedPath), stored.Offset, stored.Elements * sizeof(float));
    }

    public void Dispose()
    {
        foreach (var buffer in _widened.Values)
            buffer.Dispose();
        _widened.Clear();
    }

    bool IsUsableAsItLies(StoredTensor stored) =>
        stored.Dtype == TensorDtype.F32 && stored.Offset % sizeof(float) == 0 && Path.GetDirectoryName(stored.File.ResolvedPath) == _folder;

    unsafe OrtValue Float32Value(WeightUse use)
    {
        var stored = _tensors[use.StoredName];
        if (!_widened.TryGetValue(use.StoredName, out var buffer))
        {
            buffer = new NativeBuffer(checked((nuint)stored.Elements * sizeof(float)));
            _widened.Add(use.StoredName, buffer);
            Widen.ToFloat32(stored, (float*)buffer.Data);
        }
        return OrtValue.CreateTensorValueWithData(
            OrtMemoryInfo.DefaultInstance, Microsoft.ML.OnnxRuntime.Tensors.TensorElementType.Float, use.Shape, (nint)buffer.Data, (long)buffer.Length);
    }
}
