using System.Diagnostics.Metrics;
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
    /// Registers <see cref="IMedicalCaptioner"/> as a singleton; a second call goes on with the same registration. Its options come from the configuration section "MedVlm", if there is a
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
        var builder = Registered(services, key) ?? Register(services, key);
        return configure is null ? builder : builder.Configure(configure);
    }

    /// <summary>The builder of an earlier registration with this key: a second one only goes on with it.</summary>
    static MedicalCaptionerBuilder? Registered(IServiceCollection services, string? key) => services
        .Where(service => service.IsKeyedService && service.ServiceType == typeof(MedicalCaptionerBuilder))
        .Select(service => service.KeyedImplementationInstance)
        .OfType<MedicalCaptionerBuilder>()
        .FirstOrDefault(builder => builder.ServiceKey == key);

    static MedicalCaptionerBuilder Register(IServiceCollection services, string? key)
    {
        var name = key ?? Options.Options.DefaultName;
        object lazyKey = key ?? MedicalCaptionerBuilder.DefaultKey;
        var builder = new MedicalCaptionerBuilder(services, key);
        services.AddKeyedSingleton(lazyKey, builder);

        services.AddOptions<MedicalCaptionerOptions>(name)
            .Configure<IServiceProvider>((bound, provider) =>
                provider.GetService<IConfiguration>()?.GetSection(key is null ? Section : $"{Section}:{key}").Bind(bound))
            .ValidateOnStart();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<MedicalCaptionerOptions>, MedicalCaptionerOptionsValidator>());

        services.AddKeyedSingleton(lazyKey, (provider, _) => new LazyMedicalCaptioner(cancellationToken =>
            LoadAsync(builder, provider, name, cancellationToken)));
        if (key is null)
            services.TryAddSingleton<IMedicalCaptioner>(provider => provider.GetRequiredKeyedService<LazyMedicalCaptioner>(lazyKey));
        else
            services.TryAddKeyedSingleton<IMedicalCaptioner>(key, (provider, _) => provider.GetRequiredKeyedService<LazyMedicalCaptioner>(lazyKey));

        services.AddSingleton<IHostedService>(provider => new MedicalCaptionerStartup(
            provider.GetRequiredService<IOptionsMonitor<MedicalCaptionerOptions>>(), name,
            provider.GetRequiredKeyedService<LazyMedicalCaptioner>(lazyKey)));
        return builder;
    }

    static async Task<IMedicalCaptioner> LoadAsync(
        MedicalCaptionerBuilder builder, IServiceProvider provider, string name, CancellationToken cancellationToken)
    {
        var captioner = await MedicalCaptioner.LoadAsync(
            provider.GetRequiredService<IOptionsMonitor<MedicalCaptionerOptions>>().Get(name), provider.GetService<ILoggerFactory>(),
            new MedicalCaptioner.LoadSettings(Meters: provider.GetService<IMeterFactory>(), ServiceKey: builder.ServiceKey), cancellationToken).ConfigureAwait(false);
        try
        {
            return builder.Wrap(captioner, provider);
        }
        catch
        {
            await captioner.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
