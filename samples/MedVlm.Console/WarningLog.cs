using Microsoft.Extensions.Logging;

namespace MedVlm.ConsoleSample;

/// <summary>Shows the library's warnings, such as weights that could not be kept, a line each; an application takes its host's logging instead.</summary>
internal sealed class WarningLog(Terminal terminal) : ILoggerFactory, ILogger
{
    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("Warnings go to the terminal only.");

    public bool IsEnabled(LogLevel logLevel) => logLevel is >= LogLevel.Warning and not LogLevel.None;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
            terminal.WriteError($"{(logLevel == LogLevel.Warning ? "Warning" : "Error")}: {formatter(state, exception)}");
    }

    public void Dispose() { }
}
