namespace MedVlm.Checkpoints;

/// <summary>Two pieces of a load at the same time: each is one thread's work.</summary>
internal static class Beside
{
    /// <summary>Runs both and waits for both, also where one fails. The first's exception goes before the second's.</summary>
    public static (TFirst, TSecond) Run<TFirst, TSecond>(Func<TFirst> first, Func<TSecond> second)
    {
        var other = Task.Run(second);
        TFirst made;
        try
        {
            made = first();
        }
        catch
        {
            ((IAsyncResult)other).AsyncWaitHandle.WaitOne();
            _ = other.Exception;   // seen: it is no surprise
            throw;
        }
        return (made, other.GetAwaiter().GetResult());
    }
}
