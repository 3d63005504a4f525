using System.Diagnostics;
using MedVlm.Devices;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>
/// Runs a model for many captions at once. It owns the slots of the KV cache: a caption whose image features are there is prefilled into a free
/// slot, all running slots take each decode step together, and a slot that is finished is filled again before the next step.
/// </summary>
/// <remarks>
/// One thread of its own does all the work, so nothing in here is shared; callers meet it in the queue, and in each caption's channel.
/// The way of a caption: <see cref="Gate"/>, where callers take turns; preprocessing on other threads; <see cref="Submit"/> into the queue;
/// <see cref="VisionStage"/>; a slot.
/// </remarks>
internal sealed class Engine : IAsyncDisposable
{
    // The cache grows in such steps, so that captions of almost the same length share one.
    const int SlotLengthStep = 256;

    readonly LoadedModel _model;
    readonly HashSet<int> _stopTokenIds;
    readonly EngineQueue _queue = new();
    readonly VisionStage _vision;
    readonly Slot?[] _slots;
    readonly Dictionary<(int First, int Rows), DecoderRun> _steps = [];
    readonly DecoderResults _results;   // of all runs: each is read before the next
    readonly EngineHooks _hooks;
    readonly Task _loop;
    readonly CancellationTokenSource _disposing = new();

    // Captions that wait until nothing runs.
    readonly Queue<(Generation Generation, bool LacksMemory)> _waiting = new();

    KvCache? _cache;
    KvCache? _cross;
    volatile int _slotLimit;
    bool _drain;
    TimeSpan _promptRuns;

    /// <param name="model">The model; disposed with the engine.</param>
    /// <param name="slots">Captions that are decoded together.</param>
    /// <param name="visionCacheBytes">Bytes of image features to keep for images that come again; 0 keeps none.</param>
    /// <param name="visionAhead">Whether the vision tower runs beside decode steps, on a thread of its own.</param>
    /// <param name="hooks">Who is told of what.</param>
    public Engine(LoadedModel model, int slots, long visionCacheBytes = 0, bool visionAhead = false, EngineHooks? hooks = null)
    {
        _hooks = hooks ?? new EngineHooks();
        _slotLimit = slots;
        _model = model;
        _stopTokenIds = [.. model.Family.StopTokenIds(model.Generation)];
        _slots = new Slot?[slots];
        _results = new DecoderResults(slots, model.Family.Shape.VocabSize);

        // While half of them decode, the images of the others are made ready: as many as the memory plan counts.
        Gate = new FairGate(MemoryPlanner.ImagesAhead(slots));
        model.Family.Pixels.MostKept = model.Plan is { } plan ? MemoryPlanner.PixelBytes(plan.Footprint.Caption, slots) : 0;
        VisionCache = new VisionCache(visionCacheBytes);

        // The plan has counted the workspace of one run of its image: several smaller images may be one run up to that size.
        _vision = new VisionStage(
            model, _queue, VisionCache, Times, slots, model.Plan?.Footprint.Caption.RunValues ?? 0, visionAhead, _hooks, _disposing.Token);
        _loop = Task.Factory.StartNew(Loop, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>A caption in a slot of the cache.</summary>
    /// <param name="Generation">The caption.</param>
    /// <param name="Cached">Tokens whose keys and values are in the slot.</param>
    /// <param name="Token">The token that the next step takes in.</param>
    /// <param name="Position">Its position.</param>
    sealed record Slot(Generation Generation, int Cached, int Token, int Position);

    /// <summary>What a caption passes before its images are decoded: bounds those that are made ready, and lets callers take turns.</summary>
    public FairGate Gate { get; }

    /// <summary>Features of images seen lately.</summary>
    public VisionCache VisionCache { get; }

    /// <summary>Where the time goes.</summary>
    public EngineTimes Times { get; } = new();

    /// <summary>Whether it has ended, disposed or by an error: it takes no more captions.</summary>
    public bool HasEnded => _loop.IsCompleted;

    /// <summary>Captions that are made ready and wait.</summary>
    public int QueueLength => _queue.Count;

    /// <summary>Captions that are decoded together at most; fewer once memory has not sufficed.</summary>
    public int Slots => _slotLimit;

    /// <summary>Slots that there is memory for: none before the first caption, and while the vision tower needs all that there is.</summary>
    public int CacheSlots => _cache?.Slots ?? 0;

    /// <summary>Captions that are in a slot.</summary>
    public int Running => _slots.Count(slot => slot is not null);

    /// <summary>Queues a caption that came through the gate.</summary>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    /// <exception cref="MedVlmException">The engine has stopped.</exception>
    public void Submit(Generation generation) => _queue.Add(generation);

    /// <summary>Ends all captions at the next step, and frees model and cache.</summary>
    public async ValueTask DisposeAsync()
    {
        Close(new ObjectDisposedException(nameof(IMedicalCaptioner)));
        await _disposing.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
    }

    void Close(Exception error)
    {
        _queue.Close(error);
        Gate.Close(error);
    }

    void Loop()
    {
        Exception error = new ObjectDisposedException(nameof(IMedicalCaptioner));
        try
        {
            while (!_disposing.IsCancellationRequested && Admit())
                if (Running > 0)
                    Step();
        }
        catch (Exception e)
        {
            // Not one caption's fault: nothing may wait for an engine that has stopped.
            error = EngineErrors.Translated(e, "engine");
        }
        finally
        {
            Close(error);
            _vision.EndsBy(error);
            _disposing.Cancel();
            FailAll(error);
            _vision.End(error);
            DropCache();
            VisionCache.Clear();
            _model.Dispose();
        }
    }

    /// <summary>Takes captions into free slots; waits for one while nothing runs.</summary>
    /// <returns>False when none will come any more.</returns>
    bool Admit()
    {
        while (FreeSlot() is >= 0 and var free)
        {
            bool idle = Running == 0;
            DropCancelled();
            if (_drain && !idle)
                return true;
            _drain = false;
            var (generation, lacksMemory) = _waiting.TryDequeue(out var waiting) ? waiting : (_vision.Take(wait: idle), false);
            if (generation is null)
            {
                // One that the vision tower needs memory for has nobody before it: the slots empty, and then it has their cache's.
                if (!idle)
                    return true;
                if (!_vision.NeedsMemory)
                    return false;
                RunVisionAlone();
                continue;
            }

            // A longer caption than the cache has room for waits until it can be made anew, and so does one that would keep it short of slots.
            if (!idle && (lacksMemory || generation.SlotLength > (_cache?.SlotLength ?? 0) || LacksSlots(generation)))
            {
                WaitForAll(generation, lacksMemory);
                return true;
            }
            if (lacksMemory)
            {
                PrefillAlone(generation);
                continue;
            }

            try
            {
                generation.CancellationToken.ThrowIfCancellationRequested();
                EnsureCache(generation, _slotLimit);
                _hooks.BeforeRun?.Invoke("prefill", Running + 1);
                _slots[free] = Prefill(generation, free);
            }
            catch (Exception e) when (EngineErrors.IsOutOfMemory(e) && MayFitAlone)
            {
                if (idle)
                    PrefillAlone(generation);
                else
                    WaitForAll(generation, lacksMemory: true);
            }
            catch (Exception e)
            {
                generation.Fail(EngineErrors.Of(generation, e, "prefill", _disposing.IsCancellationRequested));
            }
        }
        return true;
    }

    /// <summary>The first free slot that the cache has room for, -1 for none; while nothing runs the cache may be made anew.</summary>
    int FreeSlot() => Array.IndexOf(_slots, null, 0, Running == 0 ? _slotLimit : Math.Min(_slotLimit, _cache!.Slots));

    /// <summary>Those that were given up while they waited for all slots wait for nothing any more, and the others need not.</summary>
    void DropCancelled()
    {
        while (_waiting.TryPeek(out var waiting) && waiting.Generation.CancellationToken.IsCancellationRequested)
            _waiting.Dequeue().Generation.Fail(new OperationCanceledException(waiting.Generation.CancellationToken));
        _drain &= _waiting.Count > 0;
    }

    /// <summary>
    /// The vision tower had not enough memory for an image: once more, when no slot holds any. If it fits then, the cache is made anew for half the
    /// slots, so that the next one fits beside it; if not, it is too large, and no fault of the slots.
    /// </summary>
    void RunVisionAlone()
    {
        int slots = _cache?.Slots ?? 0;
        ReleaseCache();
        if (_vision.TryAgain() && slots == _slotLimit)
            GiveUpSlots(slots);
    }

    /// <summary>Whether there is memory to be had by fewer slots: the cache may still be one for more than are left.</summary>
    bool MayFitAlone => _slotLimit > 1 || _cache?.Slots > 1;

    /// <summary>A caption's turn comes when nothing runs any more.</summary>
    /// <param name="generation">The caption.</param>
    /// <param name="lacksMemory">Whether memory has not sufficed for its prompt beside the others; else it only needs a longer cache.</param>
    void WaitForAll(Generation generation, bool lacksMemory)
    {
        _waiting.Enqueue((generation, lacksMemory));
        _drain |= lacksMemory;
    }

    /// <summary>
    /// Memory has not sufficed for a prompt: once more when nothing runs beside it, in a cache for half of the slots, then for a quarter, down to one.
    /// If it fits, as many are left; if not even with one, it is too large, and no fault of the slots.
    /// </summary>
    void PrefillAlone(Generation generation)
    {
        for (int slots = Math.Max(_slotLimit / 2, 1); ; slots /= 2)
        {
            try
            {
                ReleaseCache();
                generation.CancellationToken.ThrowIfCancellationRequested();
                EnsureCache(generation, slots);
                _hooks.BeforeRun?.Invoke("prefill", 1);
                _slots[0] = generation.TokenIds.Count > 0 ? StartOver(generation, 0) : Prefill(generation, 0);
            }
            catch (Exception e) when (EngineErrors.IsOutOfMemory(e) && slots > 1)
            {
                continue;
            }
            catch (Exception e)
            {
                generation.Fail(EngineErrors.Of(generation, e, "prefill", _disposing.IsCancellationRequested));
                ReleaseCache();   // the next one is for all slots again
                return;
            }
            Limit(slots);
            return;
        }
    }

    /// <summary>The decoder over the whole prompt.</summary>
    /// <returns>The slot's state; null if the caption is finished already.</returns>
    Slot? Prefill(Generation generation, int slot)
    {
        generation.Begin();
        using var runOptions = new RunOptions();
        using var onCancel = generation.CancellationToken.Register(() => runOptions.Terminate = true);
        using var onDispose = _disposing.Token.Register(() => runOptions.Terminate = true);

        if (_cross is not null)
            SeeIntoSlot(generation, slot, runOptions);

        long start = Stopwatch.GetTimestamp();
        var (inputs, features) = (generation.Inputs, generation.Features!);
        if (generation.Trace is { } trace)
            (trace.PromptIds, trace.Positions, trace.ImageFeatures) = (inputs.PromptIds, inputs.Positions, features.Values.ToArray());

        using var run = RunPrompt(inputs.PromptIds, inputs.Positions, features.Values, slot, runOptions);
        if (_cross is not null)
            generation.ReleaseImages();
        if (!(_model.Family.Rotary?.SwitchLength < generation.SlotLength))
            generation.Features = null;
        generation.Prefill = Stopwatch.GetElapsedTime(start);
        Times.AddPrefill(generation.Prefill, _promptRuns);
        return Choose(generation, run, 0, TimeSpan.Zero) is { } token ? new Slot(generation, inputs.PromptIds.Length, token, inputs.Positions.Next) : null;
    }

    /// <summary>Cross-attention: the vision tower writes keys and values of the image into the slot, or those that were kept are copied there.</summary>
    void SeeIntoSlot(Generation generation, int slot, RunOptions runOptions)
    {
        long start = Stopwatch.GetTimestamp();
        generation.Features = null;   // those of a try that memory has not sufficed for
        if (VisionCache.TryGet(generation.ImageKey, out var known))
        {
            generation.Features = known;
            _cross!.Write(slot, known.Cross);
        }
        else
        {
            bool keeps = VisionCache.IsOn && _cross!.IsOnHost;
            var runs = generation.Inputs.Vision;
            var features = generation.Features = new VisionFeatures(
                _model.Features, VisionGraph.Length(_model.Family, runs), crossBytes: keeps ? _cross!.BytesPerSlot : 0);
            _hooks.BeforeRun?.Invoke("vision", 1);
            VisionGraph.Run(_model.Vision, _model.Family, runs, features.Values, _cross, slot, runOptions, generation.CancellationToken);
            Times.AddVision(Stopwatch.GetElapsedTime(start));
            if (keeps)
            {
                _cross!.Read(slot, features.Cross);
                VisionCache.Add(generation.ImageKey, features);
            }
        }
        generation.Vision = Stopwatch.GetElapsedTime(start);
        generation.Trace?.Vision = [.. generation.Inputs.Vision.Select(run => run.Made())];
    }

    /// <summary>The decoder over a whole sequence, into an empty slot. A prefix that sees itself both ways is a run of its own.</summary>
    /// <returns>The last run, with its results.</returns>
    DecoderRun RunPrompt(int[] tokenIds, PromptPositions positions, ReadOnlySpan<float> features, int slot, RunOptions runOptions)
    {
        _promptRuns = TimeSpan.Zero;
        int prefix = _model.Family.PrefixLength;
        if (prefix > 0)
            RunTokens(tokenIds[..prefix], 0, positions, ref features, slot, runOptions, seesAll: true).Dispose();
        return RunTokens(tokenIds[prefix..], prefix, positions, ref features, slot, runOptions, seesAll: false);
    }

    DecoderRun RunTokens(
        int[] tokenIds, int first, PromptPositions positions, ref ReadOnlySpan<float> features, int slot, RunOptions runOptions, bool seesAll)
    {
        var run = new DecoderRun(_model.Decoder, _model.Family, _cache!, _cross, slot, rows: 1, tokenIds.Length, _results);
        try
        {
            _model.Embeddings.Merge(_model.Family, tokenIds, first, ref features, run.Embeddings);
            _model.Family.Rotary?.Fill(positions, first, run.Cos, run.Sin);
            run.Run([first], runOptions, seesAll);
            _promptRuns += run.Elapsed;
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
    /// <returns>The slot's state; null if the caption is finished.</returns>
    Slot? StartOver(Generation generation, int row)
    {
        var inputs = generation.Inputs;
        using var runOptions = new RunOptions();
        using var onCancel = generation.CancellationToken.Register(() => runOptions.Terminate = true);
        using var onDispose = _disposing.Token.Register(() => runOptions.Terminate = true);

        generation.Trace?.StartedOver.Add(generation.TokenIds.Count);
        long start = Stopwatch.GetTimestamp();
        int[] tokenIds = [.. inputs.PromptIds, .. generation.TokenIds];
        var positions = inputs.Positions.Extend(generation.TokenIds.Count);
        using var run = RunPrompt(tokenIds, positions, generation.Features!.Values, row, runOptions);
        return Choose(generation, run, 0, Stopwatch.GetElapsedTime(start)) is { } token ? new Slot(generation, tokenIds.Length, token, positions.Next) : null;
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
                    _hooks.BeforeRun?.Invoke("start over", Running);
                    _slots[row] = StartOver(slot.Generation, row);
                }
                catch (Exception e) when (EngineErrors.IsOutOfMemory(e) && MayFitAlone)
                {
                    // It takes in all that it has written so far when its turn comes.
                    WaitForAll(slot.Generation, lacksMemory: true);
                    _slots[row] = null;
                }
                catch (Exception e)
                {
                    slot.Generation.Fail(EngineErrors.Of(slot.Generation, e, "prefill", _disposing.IsCancellationRequested));
                    _slots[row] = null;
                }

        // Slots are filled from the lowest on: those up to the last running one are a slice of the cache.
        int rows = Array.FindLastIndex(_slots, slot => slot is not null) + 1;
        if (rows == 0)
            return;

        // All together; where memory has not sufficed for so many, one part of them after another.
        for (int first = 0; first < rows;)
        {
            int count = Math.Min(rows - first, _slotLimit);
            try
            {
                Step(first, count);
                first += count;
            }
            catch (Exception e) when (count > 1 && EngineErrors.IsOutOfMemory(e))
            {
                // The same step again: it writes the same keys and values to the same places.
                GiveUpSlots(count);
                DropSteps();
            }
            catch (Exception e)
            {
                if (EngineErrors.IsOutOfMemory(e))
                    GiveUpSlots(count);   // the next cache, made when nothing runs, is smaller
                var error = EngineErrors.Translated(e, "decode");
                foreach (ref var slot in _slots.AsSpan(first, count))
                {
                    slot?.Generation.Fail(error);
                    slot = null;
                }
                first += count;
            }
        }
    }

    /// <summary>One token for each running slot of a part of them.</summary>
    void Step(int first, int rows)
    {
        if (!_slots.AsSpan(first, rows).ContainsAnyExcept((Slot?)null))
            return;

        long start = Stopwatch.GetTimestamp();
        _hooks.BeforeRun?.Invoke("decode", rows);
        if (!_steps.TryGetValue((first, rows), out var step))
            _steps.Add((first, rows), step = new DecoderRun(_model.Decoder, _model.Family, _cache!, _cross, first, rows, tokens: 1, _results));
        Span<int> past = stackalloc int[rows];
        for (int row = 0; row < rows; row++)
        {
            // A slot between running ones may be empty: it computes one token into its own unused part of the cache.
            var (cached, token, position) = _slots[first + row] is { } slot ? (slot.Cached, slot.Token, slot.Position) : (0, 0, 0);
            past[row] = cached;
            int width = _model.Family.Shape.HiddenSize;
            _model.Embeddings.Row(token, cached, step.Embeddings.Slice(row * width, width));
            if (_model.Family.Rotary is { Angles: var angles } rotary)
                rotary.Fill(position, cached + 1, step.Cos.Slice(row * angles, angles), step.Sin.Slice(row * angles, angles));
        }

        using var runOptions = new RunOptions();
        step.Run(past, runOptions);

        var elapsed = Stopwatch.GetElapsedTime(start);
        int running = 0;
        for (int row = 0; row < rows; row++)
            if (_slots[first + row] is { } slot)
            {
                running++;
                _slots[first + row] = Choose(slot.Generation, step, row, elapsed) is { } token
                    ? slot with { Cached = slot.Cached + 1, Token = token, Position = slot.Position + 1 }
                    : null;
            }
        Times.AddStep(Stopwatch.GetElapsedTime(start), step.Elapsed, running);
    }

    /// <summary>Memory has not sufficed: half of the slots are left, for good. Those in the others go on, in turns.</summary>
    /// <param name="used">Slots that memory has not sufficed for.</param>
    void GiveUpSlots(int used) => Limit(Math.Max(Math.Min(_slotLimit, used) / 2, 1));

    void Limit(int slots)
    {
        int before = _slotLimit;
        if (slots == before)
            return;

        _slotLimit = slots;
        _hooks.TellSlotsReduced(before, slots);
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

    /// <summary>
    /// Sees to a cache that the caption fits into. One that is longer than the plan counts on has fewer slots where memory would not suffice for all,
    /// and is made anew, as planned, when nothing runs and the next caption is shorter.
    /// </summary>
    void EnsureCache(Generation generation, int slots)
    {
        // On a device as long as the plan has counted on, from the first: an arena that has given memory back in parts has none for larger ones.
        int length = CacheLength(Math.Max(generation.SlotLength, _model.CacheMemory.IsHost ? 0 : PlannedLength));
        if (_cache is not null && _cache.SlotLength >= generation.SlotLength
            && (Running > 0 || _cache.Slots == Math.Min(slots, SlotsOf(_cache.SlotLength)) && _cache.SlotLength <= Math.Max(length, PlannedLength)))
            return;

        slots = Math.Min(slots, SlotsOf(length));
        if (slots == 0)
            throw new InsufficientMemoryException(
                $"A caption of {generation.SlotLength} tokens, {generation.Inputs.PromptIds.Length} of them the prompt's, takes {_model.SlotBytes(length) >> 20} MiB of KV cache, and "
                + $"the memory plan leaves {CacheBudget >> 20}. Ask for fewer new tokens, use a coarser image detail, raise MaxDeviceMemoryMiB, or free memory.");
        DropCache();
        _cross = _model.CreateCross(slots);
        _cache = _model.CreateCache(slots, length);
    }

    /// <summary>Whether the cache has fewer slots than one that is as long as planned would have, which is enough for this caption and for those that run.</summary>
    bool LacksSlots(Generation generation) =>
        _cache!.SlotLength > PlannedLength && _cache.Slots < Math.Min(_slotLimit, SlotsOf(PlannedLength)) && generation.SlotLength <= PlannedLength
        && _slots.All(slot => slot is null || slot.Generation.SlotLength <= PlannedLength);

    /// <summary>Tokens of a slot in the cache that the plan counts on.</summary>
    int PlannedLength => CacheLength(_model.Plan?.SlotLength ?? 0);

    /// <summary>
    /// Slots of this length that main memory has room for, by the plan. The system would hand out more, and end the process when it is written
    /// to. A GPU refuses by itself.
    /// </summary>
    int SlotsOf(int length) => _model.Plan is null || !_model.CacheMemory.IsHost ? int.MaxValue : (int)Math.Min(CacheBudget / _model.SlotBytes(length), int.MaxValue);

    /// <summary>What the plan leaves to the cache beside all else.</summary>
    long CacheBudget
    {
        get
        {
            var chosen = _model.Plan!.Require();
            return chosen.KvCacheBytes + chosen.MarginBytes;
        }
    }

    /// <summary>Tokens of a slot in the cache that is made for a caption of this length.</summary>
    public static int CacheLength(int slotLength) => (slotLength + SlotLengthStep - 1) / SlotLengthStep * SlotLengthStep;

    void DropSteps()
    {
        foreach (var step in _steps.Values)
            step.Dispose();
        _steps.Clear();
    }

    void DropCache()
    {
        DropSteps();
        _cache?.Dispose();
        _cross?.Dispose();
        (_cache, _cross) = (null, null);
    }

    /// <summary>Drops the cache, and gives its memory back to the device where an arena would keep it.</summary>
    void ReleaseCache()
    {
        DropCache();
        if (_model.CacheMemory.Arena is { } arena)
            DecoderArena.TryShrink(_model, arena);
    }

    void FailAll(Exception error)
    {
        foreach (ref var slot in _slots.AsSpan())
        {
            slot?.Generation.Fail(error);
            slot = null;
        }
        while (_waiting.TryDequeue(out var waiting))
            waiting.Generation.Fail(error);
        while (_queue.TryTake(out var queued))
            queued.Fail(error);
    }
}
