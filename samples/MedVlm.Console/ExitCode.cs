namespace MedVlm.ConsoleSample;

/// <summary>What the process tells the shell.</summary>
internal static class ExitCode
{
    /// <summary>Every image was captioned, every case agrees.</summary>
    public const int Success = 0;

    /// <summary>Some images could not be captioned, some cases disagree, nothing fits: the table says which.</summary>
    public const int SomeFailed = 1;

    /// <summary>Nothing could be done: the command line is wrong, or the model cannot be loaded.</summary>
    public const int CannotRun = 2;

    /// <summary>Stopped by Ctrl+C: 128 and the number of the signal, as shells have it.</summary>
    public const int Interrupted = 130;
}
