using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace MedVlm.HostedServiceSample;

/// <summary>Registers the inbox and its worker.</summary>
internal static class InboxServices
{
    public static IServiceCollection AddInbox(this IServiceCollection services)
    {
        services.AddOptions<InboxOptions>()
            .Configure<IConfiguration>((options, configuration) => configuration.GetSection("Inbox").Bind(options))
            .ValidateOnStart();
        services.AddSingleton<IValidateOptions<InboxOptions>, InboxOptionsValidator>();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<Inbox>();
        services.AddHostedService<InboxWorker>();
        return services;
    }
}
