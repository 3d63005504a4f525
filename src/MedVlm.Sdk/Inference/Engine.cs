using System.Diagnostics;
using System.Threading.Channels;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>
/// Runs a model for many captions at once. It owns the slots of the KV cache: a caption is prefilled into a free slot, all running slots
/// take each decode step together, and a slot that is finished is filled again from the queue before the next step.
/// </summary>
/// <remarks>One thread of its own does all the work, so nothing in here is shared; callers meet it in two channels.</remarks>
internal sealed class Engine : IAsyncDisposable
{
    // The cache grows in such steps, so that captions of almost the same length share one.
    const int SlotLengthStep = 256;

    readonly LoadedModel _model;
    readonly HashSet<int> _stopTokenIds;
    readonly Channel<Generation> _queue;
    readonly Slot?[] _slots;
    readonly DecoderRun?[] _steps;
    readonly Task _loop;
    readonly CancellationTokenSource _disposing = new();

    KvCache? _cache;
    KvCache? _cross;
    Generation? _next;

    /// <param name="model">The model; disposed with the engine.</param>
    /// <param name="slots">Captions that are decoded together.</param>
    public Engine(LoadedModel model, int slots)
    {
        _model = model;
        _stopTokenIds = [.. model.Family.StopTokenIds(model.Generation)];
        _slots = new Slot?[slots];
        _steps = new DecoderRun?[slots + 1];
        _queue = Channel.CreateBounded<Generation>(new BoundedChannelOptions(slots) { SingleReader = true });
        _loop = Task.Factory.StartNew(Loop, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>A caption in a slot of the cache.</summary>
    /// <param name="Generation">The caption.</param>
    /// <param name="Cached">Tokens whose keys and values are in the slot.</param>
    /// <param name="Token">The token that the next step takes in.</param>
    /// <param name="Position">Its position.</param>
    sealed record Slot(Generation Generation, int Cached, int Token, int Position);

    /// <summary>Queues a caption, and waits while the queue is full.</summary>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public async ValueTask SubmitAsync(Generation generation)
    {
        try
        {
            await _queue.Writer.WriteAsync(generation, generation.CancellationToken).ConfigureAwait(false);
        }
        catch (ChannelClosedException e)
        {
            throw e.InnerException ?? new ObjectDisposedException(nameof(IMedicalCaptioner));
        }
    }

    /// <summary>Ends all captions at the next step, and frees model and cache.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_queue.Writer.TryComplete())
        {
            await _loop.ConfigureAwait(false);
            return;
        }
        await _disposing.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        _disposing.Dispose();
    }

    int Running => _slots.Count(slot => slot is not null);

    void Loop()
    {
        try
        {
            while (!_disposing.IsCancellationRequested)
            {
                Admit();
                if (Running > 0)
                    Step();
                else if (!_queue.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
                    break;
            }
            FailAll(new ObjectDisposedException(nameof(IMedicalCaptioner)));
        }
        catch (Exception e)
        {
            // Not one caption's fault: nothing may wait for an engine that has stopped.
            _queue.Writer.TryComplete(e);
            FailAll(e);
        }
        finally
        {
            DropCache();
            _model.Dispose();
        }
    }

    /// <summary>Takes captions from the queue into free slots.</summary>
    void Admit()
    {
        while (Array.IndexOf(_slots, null) is >= 0 and var free && (_next is not null || _queue.Reader.TryRead(out _next)))
        {
            // A longer caption than the cache has room for waits until it can be made anew.
            if (_next.SlotLength > (_cache?.SlotLength ?? 0) && Running > 0)
                return;

            var generation = _next;
            _next = null;
            try
            {
                EnsureCache(generation.SlotLength);
                _slots[free] = Prefill(generation, free);
            }
            catch (Exception e)
            {
                generation.Fail(Failure(generation, e, "prefill"));
            }
        }
    }

    /// <summary>Vision tower and the decoder over the whole prompt.</summary>
    /// <returns>The slot's state; null if the caption is finished already.</returns>
    Slot? Prefill(Generation generation, int slot)
    {
        generation.Begin();
        generation.CancellationToken.ThrowIfCancellationRequested();
        using var runOptions = new RunOptions();
        using var onCancel = generation.CancellationToken.Register(() => runOptions.Terminate = true);
        using var onDispose = _disposing.Token.Register(() => runOptions.Terminate = true);

        long start = Stopwatch.GetTimestamp();
        var features = VisionGraph.Run(
            _model.Vision, _model.Family, generation.Inputs.Vision, _cross, slot, runOptions, generation.CancellationToken);
        generation.Vision = Stopwatch.GetElapsedTime(start);

        start = Stopwatch.GetTimestamp();
        var inputs = generation.Inputs;
        if (generation.Trace is { } trace)
            (trace.Vision, trace.PromptIds, trace.Positions, trace.ImageFeatures) = (inputs.Vision, inputs.PromptIds, inputs.Positions, features);
        if (_model.Family.Rotary?.SwitchLength < generation.SlotLength)
            generation.ImageFeatures = features;

        using var run = RunPrompt(inputs.PromptIds, inputs.Positions, features, slot, runOptions);
        generation.Prefill = Stopwatch.GetElapsedTime(start);
        return Choose(generation, run, 0, TimeSpan.Zero) is { } token ? new Slot(generation, inputs.PromptIds.Length, token, inputs.Positions.Next) : null;
    }

    /// <summary>The decoder over a whole sequence, into an empty slot. A prefix that sees itself both ways is a run of its own.</summary>
    /// <returns>The last run, with its results.</returns>
    DecoderRun RunPrompt(int[] tokenIds, PromptPositions positions, ReadOnlySpan<float> features, int slot, RunOptions runOptions)
    {
        int prefix = _model.Family.PrefixLength;
        if (prefix > 0)
            RunTokens(tokenIds[..prefix], 0, positions, ref features, slot, runOptions, seesAll: true).Dispose();
        return RunTokens(tokenIds[prefix..], prefix, positions, ref features, slot, runOptions, seesAll: false);
    }

    DecoderRun RunTokens(
        int[] tokenIds, int first, PromptPositions positions, ref ReadOnlySpan<float> features, int slot, RunOptions runOptions, bool seesAll)
    {
        var run = new DecoderRun(_model.Decoder, _model.Family, _cache!, _cross, slot, rows: 1, tokenIds.Length);
        try
        {
            _model.Embeddings.Merge(_model.Family, tokenIds, first, ref features, run.Embeddings);
            _model.Family.Rotary?.Fill(positions, first, run.Cos, run.Sin);
            run.Run([first], runOptions, seesAll);
            return run;
        }
        catch
        {
            run.Dispose();
            throw;
        }
    }

    /// <summary>
    /// LongRoPE: keys turned by the ordinary frequencies are of no use beyond their length, so the step that passes it computes the whole
    /// sequence again, as the reference does.
    /// </summary>
    void StartOver(Slot slot, int row)
    {
        var (generation, inputs) = (slot.Generation, slot.Generation.Inputs);
        using var runOptions = new RunOptions();
        using var onCancel = generation.CancellationToken.Register(() => runOptions.Terminate = true);
        using var onDispose = _disposing.Token.Register(() => runOptions.Terminate = true);

        generation.Trace?.StartedOver.Add(generation.TokenIds.Count);
        long start = Stopwatch.GetTimestamp();
        int[] tokenIds = [.. inputs.PromptIds, .. generation.TokenIds];
        var positions = inputs.Positions.Extend(generation.TokenIds.Count);
        using var run = RunPrompt(tokenIds, positions, generation.ImageFeatures, row, runOptions);
        _slots[row] = Choose(generation, run, 0, Stopwatch.GetElapsedTime(start)) is { } token
            ? new Slot(generation, tokenIds.Length, token, positions.Next)
            : null;
    }

    /// <summary>One token for every running slot.</summary>
    void Step()
    {
        foreach (ref var slot in _slots.AsSpan())
            if (slot is { Generation.CancellationToken.IsCancellationRequested: true })
            {
                slot.Generation.Fail(new OperationCanceledException(slot.Generation.CancellationToken));
                slot = null;
            }

        for (int row = 0; row < _slots.Length; row++)
            if (_slots[row] is { } slot && slot.Cached == _model.Family.Rotary?.SwitchLength)
                try
                {
                    StartOver(slot, row);
                }
                catch (Exception e)
                {
                    slot.Generation.Fail(Failure(slot.Generation, e, "prefill"));
                    _slots[row] = null;
                }

        // Slots are filled from the lowest on: those up to the last running one are a slice of the cache.
        int rows = Array.FindLastIndex(_slots, slot => slot is not null) + 1;
        if (rows == 0)
            return;

        long start = Stopwatch.GetTimestamp();
        try
        {
            var step = _steps[rows] ??= new DecoderRun(_model.Decoder, _model.Family, _cache!, _cross, 0, rows, tokens: 1);
            Span<int> past = stackalloc int[rows];
            for (int row = 0; row < rows; row++)
            {
                // A slot between running ones may be empty: it computes one token into its own unused part of the cache.
                var (cached, token, position) = _slots[row] is { } slot ? (slot.Cached, slot.Token, slot.Position) : (0, 0, 0);
                past[row] = cached;
                int width = _model.Family.Shape.HiddenSize;
                _model.Embeddings.Row(token, cached, step.Embeddings.AsSpan(row * width, width));
                if (_model.Family.Rotary is { Angles: var angles } rotary)
                    rotary.Fill(position, cached + 1, step.Cos.AsSpan(row * angles, angles), step.Sin.AsSpan(row * angles, angles));
            }

            using var runOptions = new RunOptions();
            step.Run(past, runOptions);

            var elapsed = Stopwatch.GetElapsedTime(start);
            for (int row = 0; row < rows; row++)
                if (_slots[row] is { } slot)
                    _slots[row] = Choose(slot.Generation, step, row, elapsed) is { } token
                        ? slot with { Cached = slot.Cached + 1, Token = token, Position = slot.Position + 1 }
                        : null;
        }
        catch (Exception e)
        {
            var error = Translated(e, "decode");
            foreach (ref var slot in _slots.AsSpan())
            {
                slot?.Generation.Fail(error);
                slot = null;
            }
        }
    }

    /// <summary>Chooses the next token from a run's results, and hands it on.</summary>
    /// <returns>The token; null if the caption is finished.</returns>
    int? Choose(Generation generation, DecoderRun run, int row, TimeSpan decode)
    {
        int vocabulary = _model.Family.Shape.VocabSize;
        var logits = run.Logits.AsSpan(row * vocabulary, vocabulary);
        generation.Trace?.StepLogits.Add(logits.ToArray());

        if (!float.IsFinite(run.LogProbability[row]))
        {
            generation.Fail(new MedVlmException(
                $"The model's numbers became infinite or undefined at token {generation.TokenIds.Count + 1} of a caption. The weights are damaged, or, on a GPU, its "
                + "activations go beyond the range of FP16: then set Device to \"cpu\", which computes in FP32."));
            return null;
        }

        var (token, logProbability) = generation.Sampler?.Choose(logits) ?? ((int)run.Next[row], run.LogProbability[row]);
        return generation.Add(token, logProbability, _stopTokenIds.Contains(token), decode) ? null : token;
    }

    void EnsureCache(int slotLength)
    {
        if (_cache is not null && _cache.SlotLength >= slotLength)
            return;

        DropCache();
        if (_model.Family.Shape.CrossLength > 0)
            _cross = KvCache.OfImages(_model.Family.Shape, _slots.Length, _model.CacheMemory);
        _cache = new KvCache(_model.Family.Shape, _slots.Length, CacheLength(slotLength), _model.CacheMemory);
    }

    /// <summary>Tokens of a slot in the cache that is made for a caption of this length.</summary>
    public static int CacheLength(int slotLength) => (slotLength + SlotLengthStep - 1) / SlotLengthStep * SlotLengthStep;

    void DropCache()
    {
        foreach (ref var step in _steps.AsSpan())
        {
            step?.Dispose();
            step = null;
        }
        _cache?.Dispose();
        _cross?.Dispose();
        (_cache, _cross) = (null, null);
    }

    void FailAll(Exception error)
    {
        foreach (ref var slot in _slots.AsSpan())
        {
            slot?.Generation.Fail(error);
            slot = null;
        }
        _next?.Fail(error);
        while (_queue.Reader.TryRead(out var queued))
            queued.Fail(error);
    }

    Exception Failure(Generation generation, Exception e, string stage) =>
        generation.CancellationToken.IsCancellationRequested ? new OperationCanceledException(e.Message, e, generation.CancellationToken)
        : _disposing.IsCancellationRequested ? new ObjectDisposedException("The captioner was disposed while this caption was being written.", e)
        : Translated(e, stage);

    static Exception Translated(Exception e, string stage) => e switch
    {
        MedVlmException => e,
        OutOfMemoryException => new MedVlmException(
            $"Not enough memory for the {stage} of a caption. Use fewer slots, fewer new tokens, or a coarser image detail.", e),
        _ => new MedVlmException($"The {stage} of a caption failed in ONNX Runtime. {e.Message}", e),
    };
}
