using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Models;
using MedVlm.Tokenizers;

namespace MedVlm.Inference;

/// <summary>A checkpoint made ready: its family, tokenizer, sessions and host-side embedding.</summary>
internal sealed class LoadedModel : IDisposable
{
    readonly Checkpoint _checkpoint;
    readonly WeightMemory _weights;

    LoadedModel(Checkpoint checkpoint, RuntimeSettings settings, CancellationToken cancellationToken)
    {
        _checkpoint = checkpoint;
        (Family, Tokenizer) = ModelRegistry.Create(checkpoint);
        Notes = checkpoint.TryReadJson("medvlm.json", FamilyJson.Default.CheckpointNotes) ?? new();
        Generation = checkpoint.TryReadJson("generation_config.json", FamilyJson.Default.GenerationConfig) ?? new();

        var catalog = new WeightCatalog(
            checkpoint.Tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo(tensor.Value.File.FileName, tensor.Value.Shape)));
        var (vision, decoder) = (VisionGraph.Build(Family, catalog.Root), DecoderGraph.Build(Family, catalog.Root));
        Embeddings = new TokenEmbeddings(checkpoint.Tensors[
            Family.TokenEmbedding(catalog.Root).OnHost(Family.Shape.VocabSize, Family.Shape.HiddenSize)]);
        catalog.RefuseSurplus();

        cancellationToken.ThrowIfCancellationRequested();
        _weights = new WeightMemory(checkpoint);
        try
        {
            Vision = new GraphSession(vision, _weights, settings);
            cancellationToken.ThrowIfCancellationRequested();
            Decoder = new GraphSession(decoder, _weights, settings);
        }
        catch
        {
            Vision?.Dispose();
            _weights.Dispose();
            throw;
        }
    }

    public ModelFamily Family { get; }

    public Tokenizer Tokenizer { get; }

    public CheckpointNotes Notes { get; }

    public GenerationConfig Generation { get; }

    public TokenEmbeddings Embeddings { get; }

    public GraphSession Vision { get; }

    public GraphSession Decoder { get; }

    /// <summary>Tokens that end a caption.</summary>
    public IReadOnlyList<int> StopTokenIds => Generation.EosTokenId is { Length: > 0 } ids ? ids : Family.DefaultStopTokenIds;

    /// <summary>Reads a checkpoint folder and makes its sessions.</summary>
    /// <exception cref="MedVlmException">The checkpoint is damaged or of a family that is not supported, or the native runtime is missing.</exception>
    public static LoadedModel Load(string folder, RuntimeSettings settings, CancellationToken cancellationToken)
    {
        OnnxRuntimeEnvironment.Ensure();
        var checkpoint = Checkpoint.Open(folder);
        try
        {
            return new LoadedModel(checkpoint, settings, cancellationToken);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Vision.Dispose();
        Decoder.Dispose();
        _weights.Dispose();
        _checkpoint.Dispose();
    }
}
