using System.Diagnostics;
using Spectre.Console;

namespace MedVlm.ConsoleSample;

/// <summary>Tells how far the work is.</summary>
internal interface IWorkProgress
{
    /// <summary>So many more are done.</summary>
    void Advance(int count, bool failed);
}

/// <summary>What the terminal shows during work: bars that move, or now and then a plain line where they cannot.</summary>
internal static class TerminalProgress
{
    public static Task<T> ShowLoadingAsync<T>(this Terminal terminal, Func<Task<T>> load) =>
        terminal.IsLive ? terminal.Out.Status().StartAsync("Loading the model", _ => load()) : load();

    /// <summary>Shows the progress of some work.</summary>
    /// <returns>Whether it went to its end; false if it was cancelled.</returns>
    public static async Task<bool> ShowProgressAsync(this Terminal terminal, string what, int total, Func<IWorkProgress, Task> work)
    {
        try
        {
            if (!terminal.IsLive)
                await work(new PlainProgress(terminal, what, total));
            else
                await terminal.Out.Progress()
                    .AutoClear(true)
                    .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn(), new SpinnerColumn())
                    .StartAsync(context => work(new LiveProgress(context.AddTask(what, maxValue: total), what, total)));
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    sealed class LiveProgress(ProgressTask task, string what, int total) : IWorkProgress
    {
        int _failed;

        public void Advance(int count, bool failed)
        {
            _failed += failed ? count : 0;
            task.Increment(count);
            task.Description = $"{what} {task.Value:F0} of {total}" + (_failed > 0 ? $", [red]{_failed} failed[/]" : "");
        }
    }

    /// <summary>A line at most every few seconds, and one at the end.</summary>
    sealed class PlainProgress(Terminal terminal, string what, int total) : IWorkProgress
    {
        static readonly TimeSpan s_pause = TimeSpan.FromSeconds(2);

        int _done, _failed;
        long _last = Stopwatch.GetTimestamp();

        public void Advance(int count, bool failed)
        {
            _done += count;
            _failed += failed ? count : 0;
            if (_done < total && Stopwatch.GetElapsedTime(_last) < s_pause)
                return;

            _last = Stopwatch.GetTimestamp();
            terminal.WriteError($"{what} {_done} of {total}" + (_failed > 0 ? $", {_failed} failed" : ""));
        }
    }
}
