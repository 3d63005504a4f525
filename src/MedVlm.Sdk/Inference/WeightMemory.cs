using MedVlm.Checkpoints;
using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>
/// The weights as ONNX Runtime is given them: places in the checkpoint's files, which it maps, and widens and packs into its own memory
/// tensor by tensor; only what it cannot take from a file is widened here, into memory that lives as long as the sessions.
/// </summary>
/// <remarks>
/// Weights that we own stay in memory beside the packed copy that ONNX Runtime makes of each matrix. What it widens itself it frees as
/// soon as it is packed: SmolVLM-500M (1,745 MiB in FP32) peaks at 2,180 MiB instead of 4,530 while it loads, and is as fast.
/// </remarks>
internal sealed class WeightMemory : WeightSource
{
    // ONNX Runtime takes external data from one folder only: the one with the most; what lies elsewhere (a companion checkpoint) is copied.
    readonly string _folder;
    readonly string _anyFile;
    readonly IReadOnlyDictionary<string, StoredTensor> _tensors;
    readonly IReadOnlyDictionary<string, LoraDelta> _deltas;
    readonly Dictionary<string, NativeBuffer> _widened = [];

    /// <param name="tensors">The weights by name.</param>
    /// <param name="deltas">What an adapter adds to some of them.</param>
    public WeightMemory(IReadOnlyDictionary<string, StoredTensor> tensors, IReadOnlyDictionary<string, LoraDelta> deltas)
    {
        (_tensors, _deltas) = (tensors, deltas);

        var largest = Largest(tensors);
        (_folder, _anyFile) = (largest.Key, Path.GetFileName(largest.First().File.ResolvedPath));
    }

    /// <summary>Bytes of own memory.</summary>
    public long Bytes => _widened.Values.Sum(buffer => (long)buffer.Length);

    /// <summary>Bytes of own memory that some of a checkpoint's weights will take.</summary>
    /// <param name="names">Names of the weights.</param>
    /// <param name="tensors">All weights by name.</param>
    /// <param name="adapted">Whether an adapter adds something to a weight.</param>
    public static long BytesOf(IEnumerable<string> names, IReadOnlyDictionary<string, StoredTensor> tensors, Func<string, bool> adapted)
    {
        var folder = Largest(tensors).Key;
        return names.Where(name => adapted(name) || TypeInFile(tensors[name], folder) is null).Sum(name => tensors[name].Elements * sizeof(float));
    }

    // The hub cache holds links: ONNX Runtime refuses them, so the blobs' own folder and names are given.
    static IGrouping<string, StoredTensor> Largest(IReadOnlyDictionary<string, StoredTensor> tensors) =>
        tensors.Values.GroupBy(tensor => Path.GetDirectoryName(tensor.File.ResolvedPath)!).MaxBy(folder => folder.Sum(tensor => tensor.Length))!;

    public override IReadOnlyList<OrtValue> Register(GraphBuilder graph, SessionOptions options)
    {
        options.AddSessionConfigEntry(FolderEntry, _folder);

        var values = new List<OrtValue>();
        foreach (var use in graph.Weights.Where(use => TypeInFile(use.StoredName) is null))
        {
            var value = Float32Value(use);
            values.Add(value);
            options.AddInitializer(use.Initializer, value);
        }
        return values;
    }

    public override ExternalData Place(WeightUse use)
    {
        var stored = _tensors[use.StoredName];
        return TypeInFile(use.StoredName) is { } type
            ? new ExternalData(Path.GetFileName(stored.File.ResolvedPath), stored.Offset, stored.Length, type)
            : new ExternalData(_anyFile, 0, stored.Elements * sizeof(float), ElementType.Float32);
    }

    public override void Dispose()
    {
        foreach (var buffer in _widened.Values)
            buffer.Dispose();
        _widened.Clear();
    }

    /// <summary>The type of a tensor that ONNX Runtime can take from the file; null where it cannot.</summary>
    ElementType? TypeInFile(string name) => _deltas.ContainsKey(name) ? null : TypeInFile(_tensors[name], _folder);

    static ElementType? TypeInFile(StoredTensor stored, string folder)
    {
        var (type, size) = stored.Dtype switch
        {
            TensorDtype.F32 => (ElementType.Float32, sizeof(float)),
            TensorDtype.F16 => (ElementType.Float16, sizeof(ushort)),
            TensorDtype.BF16 => (ElementType.BFloat16, sizeof(ushort)),
            _ => default,
        };
        return size > 0 && stored.Offset % size == 0 && Path.GetDirectoryName(stored.File.ResolvedPath) == folder ? type : null;
    }

    unsafe OrtValue Float32Value(WeightUse use)
    {
        var stored = _tensors[use.StoredName];
        if (!_widened.TryGetValue(use.StoredName, out var buffer))
        {
            buffer = new NativeBuffer(checked((nuint)stored.Elements * sizeof(float)));
            _widened.Add(use.StoredName, buffer);
            Widen.ToFloat32(stored, (float*)buffer.Data);
            if (_deltas.TryGetValue(use.StoredName, out var delta))
                delta.AddTo((float*)buffer.Data);
        }
        return OrtValue.CreateTensorValueWithData(
            OrtMemoryInfo.DefaultInstance, Microsoft.ML.OnnxRuntime.Tensors.TensorElementType.Float, use.Shape, (nint)buffer.Data, (long)buffer.Length);
    }
}
