namespace MedVlm.Inference;

/// <summary>Where the engine's time goes, added up since it was made: to see what runs beside ONNX Runtime.</summary>
internal sealed class EngineTimes
{
    long _vision, _visionRuns, _prefill, _prefillRuns, _step, _stepRuns, _steps, _tokens;

    /// <summary>Time of the vision tower, with what binds its runs.</summary>
    public TimeSpan Vision => Read(ref _vision);

    /// <summary>How often the vision tower was run: for one image, or for several that were joined.</summary>
    public long VisionRuns => Interlocked.Read(ref _visionRuns);

    /// <summary>Prefills, and the part of them in ONNX Runtime.</summary>
    public (TimeSpan All, TimeSpan Runs) Prefill => (Read(ref _prefill), Read(ref _prefillRuns));

    /// <summary>Decode steps, and the part of them in ONNX Runtime.</summary>
    public (TimeSpan All, TimeSpan Runs) Step => (Read(ref _step), Read(ref _stepRuns));

    /// <summary>Decode steps, and the tokens that they gave.</summary>
    public (long Steps, long Tokens) Count => (Interlocked.Read(ref _steps), Interlocked.Read(ref _tokens));

    public void AddVision(TimeSpan run)
    {
        Interlocked.Add(ref _vision, run.Ticks);
        Interlocked.Increment(ref _visionRuns);
    }

    public void AddPrefill(TimeSpan all, TimeSpan runs)
    {
        Interlocked.Add(ref _prefill, all.Ticks);
        Interlocked.Add(ref _prefillRuns, runs.Ticks);
    }

    public void AddStep(TimeSpan all, TimeSpan runs, int tokens)
    {
        Interlocked.Add(ref _step, all.Ticks);
        Interlocked.Add(ref _stepRuns, runs.Ticks);
        Interlocked.Increment(ref _steps);
        Interlocked.Add(ref _tokens, tokens);
    }

    static TimeSpan Read(ref long ticks) => new(Interlocked.Read(ref ticks));
}
