namespace MedVlm.Inference;

/// <summary>Who is told of what happens in the engine, on its thread.</summary>
/// <param name="SlotsReduced">Memory has not sufficed, and slots were given up: how many there were, and how many there are.</param>
/// <param name="BeforeRun">A prefill or decode step is about to run, for so many slots: where tests let memory run out.</param>
internal sealed record EngineHooks(Action<int, int>? SlotsReduced = null, Action<string, int>? BeforeRun = null);
