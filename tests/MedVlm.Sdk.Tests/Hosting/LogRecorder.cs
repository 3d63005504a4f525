using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace MedVlm.Tests.Hosting;

/// <summary>Keeps all that is logged, the exceptions with it.</summary>
internal sealed class LogRecorder : ILoggerProvider, ILogger
{
    readonly ConcurrentQueue<LogEntry> _entries = new();

    public IReadOnlyCollection<LogEntry> Entries => _entries;

    public void AddTo(IServiceCollection services) =>
        services.AddLogging(logging => logging.AddProvider(this).SetMinimumLevel(LogLevel.Trace));

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel level, EventId id, TState state, Exception? error, Func<TState, Exception?, string> formatter) =>
        _entries.Enqueue(new LogEntry(level, $"{formatter(state, error)} {error}"));

    public void Dispose()
    {
    }
}

internal sealed record LogEntry(LogLevel Level, string Text);
