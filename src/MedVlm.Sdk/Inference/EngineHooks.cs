namespace MedVlm.Inference;

/// <summary>Who is told of what happens in the engine, on its threads.</summary>
/// <param name="SlotsReduced">Memory has not sufficed, and slots were given up: how many there were, and how many there are.</param>
/// <param name="VisionRunReduced">Memory has not sufficed for a run of the vision tower: for how many images it was, and for how many it is now.</param>
/// <param name="BeforeRun">A run is about to begin, "vision" for so many images, "prefill", "start over" or "decode" for so many slots: where tests let memory run out.</param>
internal sealed record EngineHooks(
    Action<int, int>? SlotsReduced = null, Action<int, int>? VisionRunReduced = null, Action<string, int>? BeforeRun = null);
