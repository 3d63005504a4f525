using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace MedVlm.Inference;

/// <summary>
/// Every weight of a model's graphs in the form that they ask for, from the file of the cache that ONNX Runtime maps; or, where the cache
/// cannot be written, from own memory.
/// </summary>
internal sealed class QuantisedWeights : WeightSource
{
    readonly SafetensorsFile? _file;
    readonly Dictionary<string, NativeBuffer> _memory = [];
    readonly SafetensorsFile _anyFile;

    QuantisedWeights(SafetensorsFile? file, SafetensorsFile anyFile) => (_file, _anyFile) = (file, anyFile);

    /// <summary>What the log should tell: that the weights are not in the cache, or have lost numbers; null for nothing.</summary>
    public string? Warning { get; private init; }

    /// <summary>Hash of the calibration that they were quantised by; null for none, or where it changes nothing.</summary>
    public string? Calibration { get; private init; }

    /// <summary>Opens the weights from the cache, or quantises them.</summary>
    /// <param name="cache">Where they are kept.</param>
    /// <param name="scheme">Name of the scheme.</param>
    /// <param name="uses">What the graphs ask for.</param>
    /// <param name="tensors">The checkpoint's weights.</param>
    /// <param name="deltas">What an adapter adds to some of them.</param>
    /// <param name="model">What the weights are of.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="calibration">What is known of the layers' inputs; null for nothing.</param>
    /// <exception cref="CheckpointException">The weights cannot be quantised.</exception>
    public static QuantisedWeights Load(
        QuantisedCache cache, string scheme, IEnumerable<WeightUse> uses, IReadOnlyDictionary<string, StoredTensor> tensors,
        IReadOnlyDictionary<string, LoraDelta> deltas, string model, CancellationToken cancellationToken, CalibrationData? calibration = null)
    {
        IReadOnlyList<QuantisedTensor> wanted = uses.DistinctBy(use => use.Initializer).Select(use => new QuantisedTensor(
            use.Initializer, tensors[use.StoredName], deltas.GetValueOrDefault(use.StoredName), use.Part, use.Shape)
        {
            StoredName = use.StoredName,
            Gain = use.InputNorm is { } norm ? tensors[norm.Gain] : null,
            Shift = use.InputNorm?.Shift is { } shift ? tensors[shift] : null,
        }).ToList();
        wanted = calibration?.ApplyTo(wanted) ?? wanted;
        var applied = wanted.Any(tensor => tensor.Columns is not null || tensor.MeanSquares is not null) ? calibration!.Content() : null;
        var anyFile = tensors.Values.First().File;
        try
        {
            var (file, fault) = cache.Open(scheme, wanted, model, cancellationToken, applied);
            var warning = (fault is null ? null : $"Quantised weights in the cache were damaged, and have been made again: {fault}")
                        + OutOfRange(file.Metadata.GetValueOrDefault(QuantisedCache.OutOfRange));
            return new QuantisedWeights(file, anyFile) { Calibration = applied, Warning = warning is "" ? null : warning.TrimStart() };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var weights = new QuantisedWeights(null, anyFile)
            {
                Calibration = applied,
                Warning = $"The quantised weights were made in memory, and will be made again at every load, since the cache folder {Fault.Quote(cache.Folder)} "
                    + $"cannot be used: {e.Message} Make it writable, or name another by the environment variable {QuantisedCache.Variable}."
                    + OutOfRange(Float16Numbers.Report(wanted, cancellationToken)),
            };
            try
            {
                Quantiser.Make(wanted, (tensor, bytes) => weights._memory.Add(tensor.Name, bytes), cancellationToken);
                return weights;
            }
            catch
            {
                weights.Dispose();
                throw;
            }
        }
    }

    /// <summary>All weights of a checkpoint as they are in floating point: what a calibration belongs to.</summary>
    public static IReadOnlyList<QuantisedTensor> InFloat(IReadOnlyDictionary<string, StoredTensor> tensors, IReadOnlyDictionary<string, LoraDelta> deltas) =>
    [
        .. tensors.OrderBy(tensor => tensor.Key, StringComparer.Ordinal).Select(tensor => new QuantisedTensor(
            tensor.Key, tensor.Value, deltas.GetValueOrDefault(tensor.Key), WeightPart.Float32, [.. tensor.Value.Shape]) { StoredName = tensor.Key }),
    ];

    static string? OutOfRange(string? report) => report is null ? null
        : $" {report}, lie beyond the range of FP16 (65504) and were set to its end: captions may differ from those of the checkpoint's own precision.";

    public override IReadOnlyList<OrtValue> Register(GraphBuilder graph, SessionOptions options)
    {
        if (_file is not null && !File.Exists(_file.ResolvedPath))
            throw new CheckpointException($"{_file.ResolvedPath}: quantised weights were deleted while they were loaded. Load the model again.");
        options.AddSessionConfigEntry(FolderEntry, Path.GetDirectoryName((_file ?? _anyFile).ResolvedPath)!);
        if (_file is not null)
            return [];

        var values = new List<OrtValue>();
        foreach (var use in graph.Weights)
        {
            values.Add(Value(use, _memory[use.Initializer]));
            options.AddInitializer(use.Initializer, values[^1]);
        }
        return values;
    }

    public override ExternalData Place(WeightUse use) => _file?.Tensors[use.Initializer] is { } stored
        ? new(Path.GetFileName(_file.ResolvedPath), stored.Offset, stored.Length, use.Type)
        : new(Path.GetFileName(_anyFile.ResolvedPath), 0, (long)_memory[use.Initializer].Length, use.Type);

    public override void Dispose()
    {
        _file?.Dispose();
        foreach (var buffer in _memory.Values)
            buffer.Dispose();
        _memory.Clear();
    }

    static unsafe OrtValue Value(WeightUse use, NativeBuffer buffer) => OrtValue.CreateTensorValueWithData(
        OrtMemoryInfo.DefaultInstance,
        use.Type switch { ElementType.Int8 => TensorElementType.Int8, ElementType.UInt8 => TensorElementType.UInt8, ElementType.Float16 => TensorElementType.Float16, _ => TensorElementType.Float },
        use.Shape, (nint)buffer.Data, (long)buffer.Length);
}
