namespace MedVlm.Inference;

/// <summary>Who is told of what happens in the engine, on its threads.</summary>
/// <param name="SlotsReduced">Memory has not sufficed, and slots were given up: how many there were, and how many there are.</param>
/// <param name="VisionRunReduced">Memory has not sufficed for a run of the vision tower: for how many images it was, and for how many it is now.</param>
/// <param name="BeforeRun">A run is about to begin, "vision" for so many images, "prefill", "start over" or "decode" for so many slots: where tests let memory run out.</param>
internal sealed record EngineHooks(
    Action<int, int>? SlotsReduced = null, Action<int, int>? VisionRunReduced = null, Action<string, int>? BeforeRun = null)
{
    /// <summary>Tells of slots that were given up. A log that cannot be written, or a listener's own error, is no reason to end the captions.</summary>
    public void TellSlotsReduced(int before, int after) => Tell(SlotsReduced, before, after);

    /// <summary>Tells of smaller runs of the vision tower, in the same way.</summary>
    public void TellVisionRunReduced(int before, int after) => Tell(VisionRunReduced, before, after);

    static void Tell(Action<int, int>? who, int before, int after)
    {
        try
        {
            who?.Invoke(before, after);
        }
        catch (Exception)
        {
            // There is nobody left to tell.
        }
    }
}
