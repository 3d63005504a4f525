using MedVlm;
using MedVlm.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers <see cref="IMedicalCaptioner"/>.</summary>
public static class MedicalCaptionerServiceCollectionExtensions
{
    /// <summary>Configuration section that the options are bound to, where the host has one.</summary>
    const string Section = "MedVlm";

    /// <summary>
    /// Registers <see cref="IMedicalCaptioner"/> as a singleton. Its options come from the configuration section "MedVlm", if there is a
    /// configuration, and then from <paramref name="configure"/>; they are checked when the host starts. The model is loaded at the first
    /// caption, or at start with <see cref="MedicalCaptionerOptions.LoadAtStartup"/>.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets options. Default: only the configuration does.</param>
    /// <returns>Goes on with the registration.</returns>
    public static MedicalCaptionerBuilder AddMedicalCaptioner(
        this IServiceCollection services, Action<MedicalCaptionerOptions>? configure = null) =>
        Add(services, null, configure);

    /// <summary>
    /// Registers a keyed <see cref="IMedicalCaptioner"/>, for several models side by side. Its options come from the configuration section
    /// "MedVlm:<paramref name="serviceKey"/>" and then from <paramref name="configure"/>.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="serviceKey">The key, which is also the name of the options.</param>
    /// <param name="configure">Sets options. Default: only the configuration does.</param>
    /// <returns>Goes on with the registration.</returns>
    public static MedicalCaptionerBuilder AddKeyedMedicalCaptioner(
        this IServiceCollection services, string serviceKey, Action<MedicalCaptionerOptions>? configure = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(serviceKey);
        return Add(services, serviceKey, configure);
    }

    static MedicalCaptionerBuilder Add(IServiceCollection services, string? key, Action<MedicalCaptionerOptions>? configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        var name = key ?? Options.Options.DefaultName;
        var builder = new MedicalCaptionerBuilder(services, key);

        var options = services.AddOptions<MedicalCaptionerOptions>(name)
            .Configure<IServiceProvider>((bound, provider) =>
                provider.GetService<IConfiguration>()?.GetSection(key is null ? Section : $"{Section}:{key}").Bind(bound))
            .ValidateOnStart();
        if (configure is not null)
            options.Configure(configure);
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<MedicalCaptionerOptions>, MedicalCaptionerOptionsValidator>());

        services.TryAddKeyedSingleton(key ?? MedicalCaptionerBuilder.DefaultKey, (provider, _) => new LazyMedicalCaptioner(async cancellationToken =>
            builder.Wrap(
                await MedicalCaptioner.LoadAsync(
                    provider.GetRequiredService<IOptionsMonitor<MedicalCaptionerOptions>>().Get(name),
                    provider.GetService<ILoggerFactory>(), cancellationToken).ConfigureAwait(false),
                provider)));
        if (key is null)
            services.TryAddSingleton<IMedicalCaptioner>(provider =>
                provider.GetRequiredKeyedService<LazyMedicalCaptioner>(MedicalCaptionerBuilder.DefaultKey));
        else
            services.TryAddKeyedSingleton<IMedicalCaptioner>(key, (provider, _) => provider.GetRequiredKeyedService<LazyMedicalCaptioner>(key));

        services.AddSingleton<IHostedService>(provider => new MedicalCaptionerStartup(
            provider.GetRequiredService<IOptionsMonitor<MedicalCaptionerOptions>>().Get(name),
            provider.GetRequiredKeyedService<LazyMedicalCaptioner>(key ?? MedicalCaptionerBuilder.DefaultKey)));
        return builder;
    }
}
