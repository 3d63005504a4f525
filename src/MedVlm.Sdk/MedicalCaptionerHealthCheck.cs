using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace MedVlm;

/// <summary>
/// Whether a captioner can write captions. It asks for none and loads nothing: <c>services.AddHealthChecks()
/// .AddCheck&lt;MedicalCaptionerHealthCheck&gt;("captioner")</c>.
/// </summary>
/// <remarks>
/// Unhealthy (or what the registration says) where the model could not be loaded at the last attempt, or its engine has ended. Healthy
/// otherwise, also before the first caption loads the model, and for captioners that run elsewhere.
/// </remarks>
/// <param name="captioner">The captioner.</param>
public sealed class MedicalCaptionerHealthCheck(IMedicalCaptioner captioner) : IHealthCheck
{
    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(context);
        return Task.FromResult(Check(context.Registration.FailureStatus));
    }

    HealthCheckResult Check(HealthStatus failure)
    {
        var lazy = captioner.GetService<LazyMedicalCaptioner>();
        if (lazy?.LoadError is { } error)
            return new HealthCheckResult(failure, "The model could not be loaded; the next caption tries again.", error);
        if (captioner.GetService<CaptionerMetadata>() is not { } metadata)
            return HealthCheckResult.Healthy(lazy is null ? "The model runs elsewhere." : "The model is not loaded yet: the first caption does it.");

        var data = new Dictionary<string, object> { ["model"] = metadata.Model, ["precision"] = $"{metadata.Precision}" };
        if (captioner.GetService<MedicalCaptioner>()?.Engine is not { } engine)
            return HealthCheckResult.Healthy("The model runs elsewhere.", data);

        (data["slots"], data["slots_used"], data["waiting"]) = (engine.Slots, engine.Running, engine.QueueLength + engine.Gate.Waiting);
        return engine.HasEnded
            ? new HealthCheckResult(failure, "The engine has ended and takes no more captions.", data: data)
            : HealthCheckResult.Healthy("The model is loaded.", data);
    }
}
