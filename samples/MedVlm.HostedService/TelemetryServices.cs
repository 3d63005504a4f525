using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace MedVlm.HostedServiceSample;

/// <summary>Writes metrics and spans to the console, where the configuration asks for it: an example of an exporter.</summary>
internal static class TelemetryServices
{
    public static IServiceCollection AddConsoleTelemetry(this IServiceCollection services, IConfiguration configuration)
    {
        var settings = configuration.GetSection("Telemetry");
        if (!settings.GetValue<bool>("Console"))
            return services;

        var interval = settings.GetValue("Interval", TimeSpan.FromMinutes(1));
        if (interval < TimeSpan.FromMilliseconds(1) || interval.TotalMilliseconds > int.MaxValue)
            throw new OptionsValidationException("Telemetry", typeof(TelemetryServices), [$"Telemetry:Interval is {interval}: give 1 ms to 24 days."]);
        services.AddOpenTelemetry()
            .WithMetrics(metrics => metrics
                .AddMeter(OpenTelemetryMedicalCaptioner.DefaultSourceName)
                .AddConsoleExporter((_, reader) => reader.PeriodicExportingMetricReaderOptions.ExportIntervalMilliseconds = (int)interval.TotalMilliseconds))
            .WithTracing(tracing => tracing.AddSource(OpenTelemetryMedicalCaptioner.DefaultSourceName).AddConsoleExporter());
        return services;
    }
}
