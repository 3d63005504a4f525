using Microsoft.Extensions.Hosting;

namespace MedVlm.Hosting;

/// <summary>Loads the model before the host says that it has started, where the options ask for it.</summary>
internal sealed class MedicalCaptionerStartup(MedicalCaptionerOptions options, LazyMedicalCaptioner captioner) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.LoadAtStartup)
            await captioner.LoadAsync(cancellationToken).ConfigureAwait(false);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
