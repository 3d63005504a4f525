using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Tests.Calibration;

/// <summary>A model with a given calibration, loaded as the library loads it.</summary>
internal sealed class CalibratedModel : IDisposable
{
    readonly Checkpoint _checkpoint;
    readonly LoraAdapter? _adapter;
    readonly ModelGraphs _graphs;
    readonly QuantisedWeights _weights;
    readonly GraphSession _vision, _decoder;

    /// <param name="options">The model.</param>
    /// <param name="precision">FP32 too goes through the weights that the quantiser makes.</param>
    /// <param name="cache">Where weights are kept.</param>
    /// <param name="calibration">Makes the calibration from the groups of layers; null for none.</param>
    public CalibratedModel(MedicalCaptionerOptions options, Precision precision, QuantisedCache cache, Func<IEnumerable<LinearGroup>, CalibrationData?> calibration)
    {
        _checkpoint = Checkpoint.Open(options.Model);
        Family = ModelRegistry.Create(ModelPlanner.SourceOf(options, _checkpoint));
        var tensors = Family.Tensors(_checkpoint);
        _adapter = options.Adapter is null ? null : LoraAdapter.Open(options.Adapter);
        var shapes = tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo("", tensor.Value.Shape));
        var floats = ModelGraphs.Build(Family, shapes);
        Calibration = calibration(LinearGroup.Of(floats.Vision, floats.Decoder).SelectMany(groups => groups));
        _graphs = ModelGraphs.Build(Family, shapes, precision);
        Embeddings = new TokenEmbeddings(tensors[_graphs.TokenEmbedding], _graphs.PositionEmbedding is { } positions ? tensors[positions] : null);
        _weights = QuantisedWeights.Load(
            cache, "test", _graphs.Vision.Weights.Concat(_graphs.Decoder.Weights), tensors,
            _adapter?.Bind(tensors, Family.ModuleNames) ?? new Dictionary<string, LoraDelta>(), "model", TestContext.Current.CancellationToken, Calibration);
        (_vision, _decoder) = (new GraphSession(_graphs.Vision, _weights, new RuntimeSettings()), new GraphSession(_graphs.Decoder, _weights, new RuntimeSettings()));
    }

    public ModelFamily Family { get; }

    public CalibrationData? Calibration { get; }

    TokenEmbeddings Embeddings { get; }

    /// <summary>The logits of a prompt's last token.</summary>
    public async Task<float[]> LogitsAsync(CaptionRequest request)
    {
        var images = new List<RgbImage>();
        foreach (var image in request.Images)
            images.Add(await image.DecodeAsync(new ImageLimits(), TestContext.Current.CancellationToken));
        return Logits(Family.Prepare(images, request.Options!.Prompt!, request.Options));
    }

    float[] Logits(ModelInputs inputs)
    {
        using var memory = DeviceMemory.Host();
        using var cross = Family.Shape.CrossLength > 0 ? KvCache.OfImages(Family.Shape, 1, ElementType.Float32, memory) : null;
        using var cache = new KvCache(Family.Shape, 1, Engine.CacheLength(inputs.PromptIds.Length), _graphs.Decoder.Cache, memory);
        using var runOptions = new RunOptions();
        ReadOnlySpan<float> features = VisionGraph.Run(_vision, Family, inputs.Vision, cross, 0, runOptions, TestContext.Current.CancellationToken);
        if (Family.PrefixLength > 0)
            Run(0, Family.PrefixLength, ref features);
        return Run(Family.PrefixLength, inputs.PromptIds.Length, ref features);

        float[] Run(int first, int end, ref ReadOnlySpan<float> left)
        {
            using var run = new DecoderRun(_decoder, Family, cache, cross, 0, rows: 1, end - first);
            Embeddings.Merge(Family, inputs.PromptIds.AsSpan(first, end - first), first, ref left, run.Embeddings);
            Family.Rotary?.Fill(inputs.Positions, first, run.Cos, run.Sin);
            run.Run([first], runOptions, seesAll: end <= Family.PrefixLength);
            return [.. run.Logits];
        }
    }

    public void Dispose()
    {
        _decoder.Dispose();
        _vision.Dispose();
        _weights.Dispose();
        _adapter?.Dispose();
        _checkpoint.Dispose();
    }
}
