using System.Diagnostics.Metrics;
using MedVlm;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Telemetry of a registered <see cref="IMedicalCaptioner"/>.</summary>
public static class MedicalCaptionerTelemetryExtensions
{
    /// <summary>
    /// Measures and traces each caption in the names of OpenTelemetry's conventions for generative AI. The application subscribes with
    /// <c>AddMeter</c> and <c>AddSource</c> (<see cref="OpenTelemetryMedicalCaptioner.DefaultSourceName"/>); the engine's own metrics are under
    /// the same meter, with or without this call.
    /// </summary>
    /// <param name="builder">The registration.</param>
    /// <param name="sourceName">Name of the activity source and of the meter. Default: <see cref="OpenTelemetryMedicalCaptioner.DefaultSourceName"/>.</param>
    /// <param name="configure">Sets properties of the wrapper.</param>
    /// <returns>The builder.</returns>
    public static MedicalCaptionerBuilder UseOpenTelemetry(
        this MedicalCaptionerBuilder builder, string? sourceName = null, Action<OpenTelemetryMedicalCaptioner>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Use((inner, provider) =>
        {
            var captioner = new OpenTelemetryMedicalCaptioner(inner, sourceName, provider.GetService<IMeterFactory>());
            configure?.Invoke(captioner);
            return captioner;
        });
    }
}
