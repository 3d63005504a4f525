using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;

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

    /// <inheritdoc cref="PromptLogits.OfAsync(LoadedModel, CaptionRequest)"/>
    public Task<float[]> LogitsAsync(CaptionRequest request) => PromptLogits.OfAsync(Family, Embeddings, _vision, _decoder, _graphs.Decoder.Cache, request);

    public void Dispose()
    {
        _decoder.Dispose();
        _vision.Dispose();
        _weights.Dispose();
        _adapter?.Dispose();
        _checkpoint.Dispose();
    }
}
