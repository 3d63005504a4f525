using System.Diagnostics;
using System.Threading.Channels;
using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>One caption on its way through the engine: what it needs, and where its tokens go.</summary>
internal sealed class Generation(
    ModelInputs inputs, SamplingSettings sampling, int maxNewTokens, CaptionText text, CancellationToken cancellationToken)
{
    // Unbounded: at most one update for each token, and the engine must never wait for a reader.
    readonly Channel<GenerationUpdate> _updates = Channel.CreateUnbounded<GenerationUpdate>(new() { SingleReader = true, SingleWriter = true });
    readonly List<int> _tokenIds = [];
    readonly long _created = Stopwatch.GetTimestamp();
    double _logProbability;

    public ModelInputs Inputs => inputs;

    /// <summary>What has been chosen so far.</summary>
    public IReadOnlyList<int> TokenIds => _tokenIds;

    /// <summary>Image features, kept only where the prompt may have to be computed again.</summary>
    public float[] ImageFeatures { get; set; } = [];

    public CancellationToken CancellationToken => cancellationToken;

    /// <summary>Tokens of the KV cache that it needs at most.</summary>
    public int SlotLength => inputs.PromptIds.Length + maxNewTokens;

    /// <summary>Chooses tokens on the host; null where the graph's own choice is taken.</summary>
    public Sampler? Sampler { get; } = sampling.IsPlainGreedy ? null : new Sampler(sampling, inputs.PromptIds);

    public ChannelReader<GenerationUpdate> Updates => _updates.Reader;

    /// <summary>Where numbers go that a comparison with the reference wants to see; null outside such a comparison.</summary>
    public GenerationTrace? Trace { get; init; }

    public TimeSpan Queue { get; private set; }

    public TimeSpan Vision { get; set; }

    public TimeSpan Prefill { get; set; }

    public TimeSpan Decode { get; private set; }

    /// <summary>The engine takes it up.</summary>
    public void Begin() => Queue = Stopwatch.GetElapsedTime(_created);

    /// <summary>Takes a token, hands out its text, and finishes the caption where it ends.</summary>
    /// <returns>Whether the caption is finished.</returns>
    public bool Add(int tokenId, float logProbability, bool isStopToken, TimeSpan decode)
    {
        Decode += decode;
        _tokenIds.Add(tokenId);
        _logProbability += logProbability;

        var piece = isStopToken ? "" : text.Add(tokenId);
        FinishReason? reason = isStopToken ? FinishReason.EndOfSequence
            : text.Stopped ? FinishReason.StopSequence
            : _tokenIds.Count == maxNewTokens ? FinishReason.MaxNewTokens
            : null;

        if (reason is null)
        {
            if (piece.Length > 0)
                _updates.Writer.TryWrite(new GenerationUpdate(piece, null));
            return false;
        }

        piece += text.Finish();
        _updates.Writer.TryWrite(new GenerationUpdate(piece, new GenerationResult(
            text.Text, [.. _tokenIds], reason.Value, Math.Exp(_logProbability / _tokenIds.Count))));
        _updates.Writer.TryComplete();
        return true;
    }

    /// <summary>Ends it without a caption.</summary>
    public void Fail(Exception error) => _updates.Writer.TryComplete(error);
}

/// <summary>Text that has come, and the result with the last of it.</summary>
internal readonly record struct GenerationUpdate(string Text, GenerationResult? Result);

/// <summary>What the engine gives for a caption.</summary>
internal sealed record GenerationResult(string Text, int[] TokenIds, FinishReason FinishReason, double Confidence);
