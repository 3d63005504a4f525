using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace MedVlm.Hosting;

/// <summary>Loads the model before the host says that it has started, where the options ask for it.</summary>
internal sealed class MedicalCaptionerStartup(IOptionsMonitor<MedicalCaptionerOptions> options, string name, LazyMedicalCaptioner captioner)
    : IHostedService
{
    // The options are read here and not before: the host has checked all of them by now, and reported all faults at once.
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.Get(name).LoadAtStartup)
            await captioner.LoadAsync(cancellationToken).ConfigureAwait(false);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
