using MedVlm;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Goes on with the registration of an <see cref="IMedicalCaptioner"/>.</summary>
public sealed class MedicalCaptionerBuilder
{
    /// <summary>Key of the registration that has none.</summary>
    internal static readonly object DefaultKey = new();

    readonly List<Func<IMedicalCaptioner, IServiceProvider, IMedicalCaptioner>> _wrappers = [];

    internal MedicalCaptionerBuilder(IServiceCollection services, string? serviceKey) => (Services, ServiceKey) = (services, serviceKey);

    /// <summary>The services.</summary>
    public IServiceCollection Services { get; }

    /// <summary>The key of the registration; null if it has none.</summary>
    public string? ServiceKey { get; }

    /// <summary>
    /// Wraps the captioner when it is loaded, in the order of the calls: the last wrapper is the outermost. See
    /// <see cref="DelegatingMedicalCaptioner"/>.
    /// </summary>
    /// <param name="wrap">Makes the wrapper.</param>
    /// <returns>This builder.</returns>
    public MedicalCaptionerBuilder Use(Func<IMedicalCaptioner, IServiceProvider, IMedicalCaptioner> wrap)
    {
        ArgumentNullException.ThrowIfNull(wrap);
        _wrappers.Add(wrap);
        return this;
    }

    /// <summary>Changes the options of this registration, after what was set before.</summary>
    /// <param name="configure">Sets options.</param>
    /// <returns>This builder.</returns>
    public MedicalCaptionerBuilder Configure(Action<MedicalCaptionerOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        Services.Configure(ServiceKey ?? Options.Options.DefaultName, configure);
        return this;
    }

    internal IMedicalCaptioner Wrap(IMedicalCaptioner captioner, IServiceProvider provider)
    {
        foreach (var wrap in _wrappers)
            captioner = wrap(captioner, provider);
        return captioner;
    }
}
