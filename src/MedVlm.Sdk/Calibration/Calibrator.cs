using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Calibration;

/// <summary>
/// Runs a model on images in FP32, looks at what its linear layers are given, and chooses how each is to be quantised
/// (<see cref="Smoothing"/>). Of every second image nothing is computed: it has a veto, and tells what the choice is worth.
/// </summary>
internal sealed class Calibrator : IDisposable
{
    /// <summary>Fewest images: one to choose by, one to tell by.</summary>
    public const int FewestImages = 2;

    readonly Checkpoint _checkpoint;
    readonly LoraAdapter? _adapter;
    readonly ModelFamily _family;
    readonly IReadOnlyDictionary<string, StoredTensor> _tensors;
    readonly IReadOnlyDictionary<string, LoraDelta> _deltas;
    readonly TokenEmbeddings _embeddings;
    readonly IReadOnlyList<IReadOnlyList<LinearGroup>> _groups;
    readonly IReadOnlyDictionary<string, WeightUse> _int4;
    readonly InputProbes _visionProbes, _decoderProbes;
    readonly WeightMemory _weights;
    readonly GraphSession _vision, _decoder;
    readonly DeviceMemory _memory = DeviceMemory.Host();
    int _images;

    /// <summary>Loads a model.</summary>
    /// <param name="options">Which model, and what it may use.</param>
    /// <param name="cancellationToken">Gives up at the next stage.</param>
    public Calibrator(MedicalCaptionerOptions options, CancellationToken cancellationToken)
    {
        var folder = ModelLocator.Find(options.Model);
        ModelRegistry.RefuseUnsupported(folder);
        try
        {
            _checkpoint = Checkpoint.Open(folder);
            _family = ModelRegistry.Create(ModelPlanner.SourceOf(options, _checkpoint));
            Notes = _checkpoint.TryReadJson("medvlm.json", FamilyJson.Default.CheckpointNotes) ?? new();
            _tensors = _family.Tensors(_checkpoint);
            ModelPlanner.Plan(options, CpuDetector.Detect(), _family, Notes, _tensors).Require();

            _adapter = options.Adapter is null ? null : LoraAdapter.Open(ModelLocator.FindAdapter(options.Adapter));
            _deltas = _adapter?.Bind(_tensors, _family.ModuleNames) ?? new Dictionary<string, LoraDelta>();
            var shapes = _tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo(tensor.Value.File.FileName, tensor.Value.Shape));
            var graphs = ModelGraphs.Build(_family, shapes);
            _embeddings = new TokenEmbeddings(_tensors[graphs.TokenEmbedding], graphs.PositionEmbedding is { } positions ? _tensors[positions] : null);
            _groups = LinearGroup.Of(graphs.Vision, graphs.Decoder);
            (_visionProbes, _decoderProbes) = (new InputProbes(graphs.Vision, _groups[0]), new InputProbes(graphs.Decoder, _groups[1]));

            // Which norm INT4 knows of, without a calibration.
            var int4 = ModelGraphs.Build(_family, shapes, Precision.Int4, DeviceKind.Cuda);
            _int4 = int4.Vision.Weights.Concat(int4.Decoder.Weights).Where(use => use.Part == WeightPart.Int4).DistinctBy(use => use.StoredName).ToDictionary(use => use.StoredName);

            cancellationToken.ThrowIfCancellationRequested();
            var settings = new RuntimeSettings(options.Threads);
            _weights = new WeightMemory(_tensors, _deltas);
            _vision = new GraphSession(graphs.Vision, _weights, settings);
            cancellationToken.ThrowIfCancellationRequested();
            _decoder = new GraphSession(graphs.Decoder, _weights, settings);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What the checkpoint's author has noted.</summary>
    public CheckpointNotes Notes { get; }

    /// <summary>Runs the model on an image: the vision tower, and the decoder over the prompt.</summary>
    /// <param name="image">The image.</param>
    /// <param name="options">Prompt and detail.</param>
    /// <param name="cancellationToken">Ends the run.</param>
    public void Add(RgbImage image, CaptionOptions options, CancellationToken cancellationToken)
    {
        bool choosing = _images++ % 2 == 0;
        var inputs = _family.Prepare([image], options.Prompt ?? Notes.DefaultPrompt ?? _family.DefaultPrompt ?? CaptionOptions.DefaultPrompt, options);
        using var runOptions = new RunOptions();
        using var onCancel = cancellationToken.Register(() => runOptions.Terminate = true);
        try
        {
            inputs.RequirePlaceholders(_family);
            using var cross = _family.Shape.CrossLength > 0 ? KvCache.OfImages(_family.Shape, 1, ElementType.Float32, _memory) : null;
            var features = new List<float>();
            foreach (var run in inputs.Vision)
            {
                features.AddRange(VisionGraph.Run(_vision, _family, [run], cross, 0, runOptions, cancellationToken, _visionProbes.Bind));
                _visionProbes.Take(choosing);
            }

            using var cache = new KvCache(_family.Shape, 1, Engine.CacheLength(inputs.PromptIds.Length), ElementType.Float32, _memory);
            ReadOnlySpan<float> left = features.ToArray();
            int prefix = _family.PrefixLength;
            if (prefix > 0)
                Prefill(inputs, 0, prefix, cache, cross, ref left, runOptions, choosing);
            Prefill(inputs, prefix, inputs.PromptIds.Length, cache, cross, ref left, runOptions, choosing);
        }
        catch (OnnxRuntimeException) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException(cancellationToken);
        }
        catch (Exception e) when (e is OnnxRuntimeException or OutOfMemoryException)
        {
            throw EngineErrors.OfCalibration(e);
        }
        finally
        {
            inputs.WithoutImages();
        }
    }

    void Prefill(
        ModelInputs inputs, int first, int end, KvCache cache, KvCache? cross, ref ReadOnlySpan<float> features, RunOptions runOptions, bool choosing)
    {
        using var run = new DecoderRun(_decoder, _family, cache, cross, 0, rows: 1, end - first, bindMore: _decoderProbes.Bind);
        _embeddings.Merge(_family, inputs.PromptIds.AsSpan(first, end - first), first, ref features, run.Embeddings);
        _family.Rotary?.Fill(inputs.Positions, first, run.Cos, run.Sin);
        run.Run([first], runOptions, seesAll: end <= _family.PrefixLength);
        _decoderProbes.Take(choosing);
    }

    /// <summary>Chooses for each group of layers.</summary>
    public (CalibrationData Calibration, IReadOnlyList<CalibratedLayers> Report) Choose(CancellationToken cancellationToken)
    {
        var (folds, squares, report) = (new List<Fold>(), new Dictionary<string, float[]>(), new List<CalibratedLayers>());
        foreach (var (group, seen) in _groups[0].Zip(_visionProbes.Statistics).Concat(_groups[1].Zip(_decoderProbes.Statistics)))
        {
            var names = group.Layers.Select(layer => layer.Weight).ToList();
            var meanSquares = seen.MeanSquares();
            var result = Smoothing.Choose(names.ConvertAll(Weight), group.Source, seen.Largest, seen.Choosing, seen.Reporting, meanSquares, cancellationToken);
            if (result.Factors is { } factors)
                folds.Add(new Fold(names.ToDictionary(name => name, _ => factors), group.Source!.Tensors.ToDictionary(name => name, _ => RowFactors(group.Source, factors))));
            if (result.UsesMeanSquares)
                foreach (var name in names)
                    squares[name] = meanSquares;
            report.Add(new CalibratedLayers(names)
            {
                CanBeSmoothed = group.Source is not null, IsSmoothed = result.Factors is not null, Int8Error = result.Int8, Int8CalibratedError = result.Int8Calibrated,
                UsesMeanSquares = result.UsesMeanSquares, Int4Error = result.Int4, Int4CalibratedError = result.Int4Calibrated,
            });
        }
        return (new CalibrationData(folds, squares), report);
    }

    /// <summary>Keeps a calibration where loads look for it.</summary>
    /// <returns>Path of the file.</returns>
    public string Write(CalibrationData calibration, QuantisedCache cache, CancellationToken cancellationToken) =>
        cache.WriteCalibration(calibration, QuantisedWeights.InFloat(_tensors, _deltas), _checkpoint.Folder, _images, cancellationToken);

    public void Dispose()
    {
        _decoder?.Dispose();
        _vision?.Dispose();
        _weights?.Dispose();
        _decoderProbes?.Dispose();
        _visionProbes?.Dispose();
        _memory.Dispose();
        _adapter?.Dispose();
        _checkpoint?.Dispose();
    }

    QuantisedTensor Weight(string name)
    {
        var (stored, norm) = (_tensors[name], _int4.GetValueOrDefault(name)?.InputNorm);
        return new(name, stored, _deltas.GetValueOrDefault(name), WeightPart.Float32, [.. stored.Shape])
        {
            StoredName = name, Gain = norm is null ? null : _tensors[norm.Gain], Shift = norm?.Shift is { } shift ? _tensors[shift] : null,
        };
    }

    /// <summary>The factors by the rows that make the channels; 1 for rows that make none of them.</summary>
    static float[] RowFactors(ChannelSource source, float[] factors)
    {
        var rows = new float[source.Rows];
        Array.Fill(rows, 1);
        foreach (var (channel, row) in source.RowOf.Index())
            rows[row] = factors[channel];
        return rows;
    }
}
