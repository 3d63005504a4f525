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
    long _waitingSince = Stopwatch.GetTimestamp();
    double _logProbability;
    volatile int _tokens;

    /// <summary>The prompt, and the images until their features are there.</summary>
    public ModelInputs Inputs { get; private set; } = inputs;

    /// <summary>Whose turn it takes: all captions of one batch are one caller's.</summary>
    public required object Caller { get; init; }

    /// <summary>The place that its images take in memory, given back with them; null for none.</summary>
    public IDisposable? Place { get; init; }

    /// <summary>What its images are known by; null where their features are not kept.</summary>
    public ImageKey? ImageKey { get; init; }

    /// <summary>The caption's own hold on what the vision tower made of the images, from then on until they are taken in. It lets go of what was here before.</summary>
    public VisionFeatures? Features
    {
        get;
        set
        {
            field?.Dispose();
            field = value;
        }
    }

    /// <summary>What has been chosen so far.</summary>
    public IReadOnlyList<int> TokenIds => _tokenIds;

    public CancellationToken CancellationToken => cancellationToken;

    /// <summary>Tokens of the KV cache that it needs at most.</summary>
    public int SlotLength => Inputs.PromptIds.Length + maxNewTokens;

    /// <summary>Chooses tokens on the host; null where the graph's own choice is taken.</summary>
    public Sampler? Sampler { get; } = sampling.IsPlainGreedy ? null : new Sampler(sampling, inputs.PromptIds);

    public ChannelReader<GenerationUpdate> Updates => _updates.Reader;

    /// <summary>Where numbers go that a comparison with the reference wants to see; null outside such a comparison.</summary>
    public GenerationTrace? Trace { get; init; }

    /// <summary>Time that it waited for its caller's turn.</summary>
    public TimeSpan Waited { get; set; }

    /// <summary>Time to decode and prepare its images.</summary>
    public TimeSpan Preprocess { get; set; }

    /// <summary>Time that it waited in the engine: for the vision tower, and for a slot.</summary>
    public TimeSpan Queue { get; private set; }

    /// <summary>When its first token was there, as a timestamp of <see cref="Stopwatch"/>; 0 before.</summary>
    public long FirstTokenAt { get; private set; }

    /// <summary>When it ended, with a caption or without; 0 before.</summary>
    public long EndedAt { get; private set; }

    /// <summary>Tokens of the finished caption; 0 if it has none.</summary>
    public int Tokens => _tokens;

    /// <summary>What ended it without a caption.</summary>
    public Exception? Error { get; private set; }

    public TimeSpan Vision { get; set; }

    public TimeSpan Prefill { get; set; }

    public TimeSpan Decode { get; private set; }

    /// <summary>A stage of the engine takes it up, after it has waited.</summary>
    public void Begin()
    {
        long now = Stopwatch.GetTimestamp();
        Queue += Stopwatch.GetElapsedTime(_waitingSince, now);
        _waitingSince = now;   // a stage that is tried again begins again
    }

    /// <summary>The stage is done with it, and it waits for the next.</summary>
    public void Wait() => _waitingSince = Stopwatch.GetTimestamp();

    /// <summary>Its images are needed no more.</summary>
    public void ReleaseImages()
    {
        Inputs = Inputs.WithoutImages();
        Place?.Dispose();
    }

    /// <summary>Takes a token, hands out its text, and finishes the caption where it ends.</summary>
    /// <returns>Whether the caption is finished.</returns>
    public bool Add(int tokenId, float logProbability, bool isStopToken, TimeSpan decode)
    {
        Decode += decode;
        if (_tokenIds.Count == 0)
            FirstTokenAt = Stopwatch.GetTimestamp();
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

        (EndedAt, Features) = (Stopwatch.GetTimestamp(), null);
        _tokens = _tokenIds.Count;   // last: who sees it reads the times too
        piece += text.Finish();
        _updates.Writer.TryWrite(new GenerationUpdate(piece, new GenerationResult(
            text.Text, [.. _tokenIds], reason.Value, Math.Exp(_logProbability / _tokenIds.Count))));
        _updates.Writer.TryComplete();
        return true;
    }

    /// <summary>Ends it without a caption.</summary>
    public void Fail(Exception error)
    {
        (Error, EndedAt, Features) = (error, Stopwatch.GetTimestamp(), null);
        ReleaseImages();
        _updates.Writer.TryComplete(error);
    }
}

/// <summary>Text that has come, and the result with the last of it.</summary>
internal readonly record struct GenerationUpdate(string Text, GenerationResult? Result);

/// <summary>What the engine gives for a caption.</summary>
internal sealed record GenerationResult(string Text, int[] TokenIds, FinishReason FinishReason, double Confidence);
