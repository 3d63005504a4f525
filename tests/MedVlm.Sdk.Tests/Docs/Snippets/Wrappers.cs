// snippet: wrapper
using System.Collections.Concurrent;
using MedVlm;
using Microsoft.Extensions.DependencyInjection;
// end

namespace DocumentationSnippets;

// snippet: wrapper
/// <summary>Keeps captions by the id of their request.</summary>
internal sealed class CachingCaptioner(IMedicalCaptioner inner, ConcurrentDictionary<string, Caption> cache) : DelegatingMedicalCaptioner(inner)
{
    public override async Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default) =>
        cache.TryGetValue(request.Id, out var caption) ? caption
            : cache[request.Id] = await base.CaptionAsync(request, cancellationToken);
}
// end

internal static class Wrappers
{
    public static void Add(IServiceCollection services, ConcurrentDictionary<string, Caption> cache)
    {
        // snippet: wrapper-registration
        services.AddMedicalCaptioner().UseTinyModel().Use((inner, provider) => new CachingCaptioner(inner, cache));
        // end
    }
}
