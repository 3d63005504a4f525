using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Inference;

/// <summary>
/// What the decoder's arena holds of a device's memory. Memory that is freed stays in the arena, where the vision tower, whose session has an
/// arena of its own, has no use of it; ONNX Runtime gives it back at the end of a run that asks for it, and so one token is run.
/// </summary>
internal static class DecoderArena
{
    /// <summary>Gives back what is free.</summary>
    /// <param name="model">The model, whose decoder nobody else runs.</param>
    /// <param name="arena">The arena, in ONNX Runtime's words: "gpu:0".</param>
    /// <returns>False where not even one token fits, or ONNX Runtime knows no such arena.</returns>
    public static bool TryShrink(LoadedModel model, string arena)
    {
        try
        {
            RunOneToken(model, arena);
            return true;
        }
        catch (Exception e) when (e is OnnxRuntimeException or OutOfMemoryException)
        {
            // Then what is to be tried again is tried with the memory that there is.
            return false;
        }
    }

    /// <summary>Runs one token, and gives back what is free.</summary>
    /// <inheritdoc cref="TryShrink" path="/param"/>
    public static void RunOneToken(LoadedModel model, string arena)
    {
        using var cache = model.CreateCache(slots: 1, Engine.CacheLength(1));
        using var cross = model.CreateCross(slots: 1);
        using var run = new DecoderRun(model.Decoder, model.Family, cache, cross, firstSlot: 0, rows: 1, tokens: 1);
        using var runOptions = new RunOptions();
        runOptions.AddRunConfigEntry("memory.enable_memory_arena_shrinkage", arena);
        run.Run([0], runOptions);
    }
}
