using System.Runtime.ExceptionServices;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>Makes the memory plan of a model whose headers have been read.</summary>
internal delegate MemoryPlan ModelPlan(ModelFamily family, CheckpointNotes notes, IReadOnlyDictionary<string, StoredTensor> tensors);

/// <summary>A checkpoint made ready: its family, tokenizer, sessions and host-side embedding.</summary>
internal sealed class LoadedModel : IDisposable
{
    readonly Checkpoint _checkpoint;
    readonly WeightSource _weights;
    readonly ElementType _cacheNumbers, _crossNumbers;

    LoadedModel(
        ModelSource source, string? adapterFolder, RuntimeSettings settings, ModelPlan? planner, CancellationToken cancellationToken)
    {
        var checkpoint = _checkpoint = source.Checkpoint;
        Family = ModelRegistry.Create(source);
        Notes = checkpoint.TryReadJson("medvlm.json", FamilyJson.Default.CheckpointNotes) ?? new();
        Generation = checkpoint.TryReadJson("generation_config.json", FamilyJson.Default.GenerationConfig)?.Checked() ?? new();

        var tensors = Family.Tensors(checkpoint);
        cancellationToken.ThrowIfCancellationRequested();
        Plan = planner?.Invoke(Family, Notes, tensors);
        var device = Plan?.Device.Kind ?? DeviceKind.Cpu;
        Precision = Plan?.Require().Precision ?? (settings.Precision == Precision.Auto ? Precision.Fp32 : settings.Precision);

        var shapes = tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo(tensor.Value.File.FileName, tensor.Value.Shape));
        var graphs = ModelGraphs.Build(Family, shapes, Precision, device, settings.IntegerKernels);
        TiedHead.Check(Family, tensors, graphs.TokenEmbedding);
        Embeddings = new TokenEmbeddings(
            tensors[graphs.TokenEmbedding], graphs.PositionEmbedding is { } positions ? tensors[positions] : null);

        cancellationToken.ThrowIfCancellationRequested();
        OnnxRuntimeEnvironment.Ensure();   // before the work of quantising, which would be lost without it
        using var adapter = adapterFolder is null ? null : LoraAdapter.Open(adapterFolder);
        var deltas = adapter?.Bind(tensors, Family.ModuleNames) ?? new Dictionary<string, LoraDelta>();
        if (Precision == Precision.Fp32)
            _weights = new WeightMemory(tensors, deltas);
        else
        {
            var (calibration, fault) = settings.Cache.ReadCalibration(
                QuantisedWeights.InFloat(tensors, deltas), found => Fits(found, ModelGraphs.Build(Family, shapes)), cancellationToken);
            var quantised = QuantisedWeights.Load(
                settings.Cache, $"{Precision.ToString().ToLowerInvariant()}{(device == DeviceKind.Cuda ? "-cuda" : "")}", graphs.Vision.Weights.Concat(graphs.Decoder.Weights), tensors, deltas,
                checkpoint.Folder, cancellationToken, calibration);
            (_weights, Warning, Calibration) = (quantised, Join(fault, quantised.Warning), quantised.Calibration);
        }
        try
        {
            var (vision, decoder) = device == DeviceKind.Cuda && !settings.EmulateCuda ? CudaSessionOptions.Of(Plan!) : default;
            (_cacheNumbers, _crossNumbers) = (graphs.Decoder.Cache, graphs.Decoder.Floats);
            (Vision, Decoder) = device == DeviceKind.Cpu && _weights is QuantisedWeights
                ? Together(graphs, settings with { PacksInParallel = HasRoomToPack(Plan) })
                : InTurn(graphs, settings, (vision, decoder), cancellationToken);
            CacheMemory = decoder is null
                ? DeviceMemory.Host()
                : DeviceMemory.Of(Decoder.Session, CudaSessionOptions.Memory(Plan!.Device));
            if (CacheMemory.Arena is { } arena)
                CudaErrors.Try(this, arena);
        }
        catch
        {
            CacheMemory?.Dispose();
            Decoder?.Dispose();
            Vision?.Dispose();
            _weights.Dispose();
            throw;
        }
    }

    /// <summary>Whether a calibration is one for these graphs: those in floating point tell what makes a layer's input.</summary>
    static bool Fits(CalibrationData calibration, ModelGraphs graphs) => calibration.Fits(LinearGroup.Of(graphs.Vision, graphs.Decoder).SelectMany(groups => groups));

    static string? Join(string? one, string? other) => one is null ? other : other is null ? one : $"{one} {other}";

    (GraphSession Vision, GraphSession Decoder) InTurn(
        ModelGraphs graphs, RuntimeSettings settings, (IReadOnlyDictionary<string, string>? Vision, IReadOnlyDictionary<string, string>? Decoder) cuda,
        CancellationToken cancellationToken)
    {
        var vision = new GraphSession(graphs.Vision, _weights, settings, cuda.Vision);
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            return (vision, new GraphSession(graphs.Decoder, _weights, settings, cuda.Decoder));
        }
        catch
        {
            vision.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Both sessions at the same time: making one is mostly a single thread's work. Not in FP32, where each holds widened weights of its own
    /// until it is made.
    /// </summary>
    (GraphSession Vision, GraphSession Decoder) Together(ModelGraphs graphs, RuntimeSettings settings)
    {
        Task<GraphSession>[] both =
        [
            Task.Run(() => new GraphSession(graphs.Vision, _weights, settings)),
            Task.Run(() => new GraphSession(graphs.Decoder, _weights, settings)),
        ];
        try
        {
            Task.WaitAll(both);   // for both, also where one fails: the other reads the weights
        }
        catch (AggregateException e)
        {
            foreach (var made in both.Where(session => session.IsCompletedSuccessfully))
                made.Result.Dispose();
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
        return (both[0].Result, both[1].Result);
    }

    /// <summary>Whether a plan has room for the mapped weights beside the packed ones, while ONNX Runtime packs all of them at once.</summary>
    internal static bool HasRoomToPack(MemoryPlan? plan) => plan?.Chosen is not { } chosen || chosen.MarginBytes >= chosen.WeightBytes;

    public ModelFamily Family { get; }

    /// <summary>The precision that it runs in; never <see cref="Precision.Auto"/>.</summary>
    public Precision Precision { get; }

    /// <summary>What the log should tell about the load; null for nothing.</summary>
    public string? Warning { get; }

    /// <summary>Hash of the calibration that the weights were quantised with; null for none, or where it changes nothing.</summary>
    public string? Calibration { get; }

    /// <summary>What it was planned to take; null where no plan was asked for.</summary>
    public MemoryPlan? Plan { get; }

    public CheckpointNotes Notes { get; }

    public GenerationConfig Generation { get; }

    public TokenEmbeddings Embeddings { get; }

    public GraphSession Vision { get; }

    public GraphSession Decoder { get; }

    /// <summary>Counts its image features.</summary>
    public FeatureMemory Features { get; } = new();

    /// <summary>Where the KV cache lies.</summary>
    public DeviceMemory CacheMemory { get; }

    /// <summary>Reads a checkpoint folder and makes its sessions.</summary>
    /// <exception cref="MedVlmException">The checkpoint is damaged or of a family that is not supported, or the native runtime is missing.</exception>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="adapterFolder">Folder of a LoRA adapter that is merged into the weights; null for none.</param>
    /// <param name="settings">How ONNX Runtime is to run the graphs.</param>
    /// <param name="cancellationToken">Gives up at the next stage.</param>
    public static LoadedModel Load(string folder, string? adapterFolder, RuntimeSettings settings, CancellationToken cancellationToken) =>
        Load(folder, adapterFolder, checkpoint => new ModelSource(checkpoint), settings, cancellationToken);

    /// <summary>Reads a checkpoint folder, and what the application names beside it, and makes the sessions.</summary>
    /// <inheritdoc cref="Load(string, string?, RuntimeSettings, CancellationToken)"/>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="adapterFolder">Folder of a LoRA adapter that is merged into the weights; null for none.</param>
    /// <param name="source">Adds to the opened folder what the application names beside it.</param>
    /// <param name="settings">How ONNX Runtime is to run the graphs.</param>
    /// <param name="cancellationToken">Gives up at the next stage.</param>
    /// <param name="planner">Makes the memory plan before any weight is read; null loads without one.</param>
    public static LoadedModel Load(
        string folder, string? adapterFolder, Func<Checkpoint, ModelSource> source, RuntimeSettings settings, CancellationToken cancellationToken,
        ModelPlan? planner = null)
    {
        ModelRegistry.RefuseUnsupported(folder);
        var checkpoint = Checkpoint.Open(folder);
        try
        {
            return new LoadedModel(source(checkpoint), adapterFolder, settings, planner, cancellationToken);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Makes a KV cache for the decoder.</summary>
    /// <param name="slots">Captions that it holds at once.</param>
    /// <param name="slotLength">Tokens of the longest caption, prompt included: a multiple of 16.</param>
    public KvCache CreateCache(int slots, int slotLength) => new(Family.Shape, slots, slotLength, _cacheNumbers, CacheMemory);

    /// <summary>Bytes of a slot in a cache of this length, those of the images included.</summary>
    public long SlotBytes(int slotLength) =>
        KvShape.Of(Family.Shape).BytesPerSlot(slotLength, _cacheNumbers, _crossNumbers);

    /// <summary>Makes room for keys and values of the images; null for families without cross-attention.</summary>
    public KvCache? CreateCross(int slots) =>
        Family.Shape.CrossLength > 0 ? KvCache.OfImages(Family.Shape, slots, _crossNumbers, CacheMemory) : null;

    public void Dispose()
    {
        Family.Pixels.MostKept = 0;
        CacheMemory.Dispose();
        Vision.Dispose();
        Decoder.Dispose();
        _weights.Dispose();
        _checkpoint.Dispose();
    }
}
