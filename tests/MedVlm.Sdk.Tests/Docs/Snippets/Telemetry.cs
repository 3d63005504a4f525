// snippet: telemetry
using MedVlm;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;
// end

namespace DocumentationSnippets;

internal static class Telemetry
{
    public static async Task RunAsync(string[] args)
    {
        // snippet: telemetry
        var builder = Host.CreateApplicationBuilder(args);
        builder.Services.AddMedicalCaptioner().UseTinyModel().UseOpenTelemetry();
        builder.Services.AddOpenTelemetry()
            .WithMetrics(metrics => metrics.AddMeter(OpenTelemetryMedicalCaptioner.DefaultSourceName).AddConsoleExporter())
            .WithTracing(tracing => tracing.AddSource(OpenTelemetryMedicalCaptioner.DefaultSourceName).AddConsoleExporter());
        using var host = builder.Build();
        await host.StartAsync();
        // end

        await host.Services.GetRequiredService<IMedicalCaptioner>().CaptionAsync(MedicalImage.FromFile(args[0]));
        await host.StopAsync();
    }
}
