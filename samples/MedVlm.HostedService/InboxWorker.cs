using Microsoft.Extensions.Hosting;

namespace MedVlm.HostedServiceSample;

/// <summary>Captions what arrives in the inbox; an image leaves it only when its caption is on disk.</summary>
internal sealed class InboxWorker(IMedicalCaptioner captioner, Inbox inbox) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach (var result in captioner.CaptionBatchAsync(inbox.ReadAllAsync(stoppingToken), stoppingToken))
            await inbox.CompleteAsync(result, stoppingToken);   // a failed image is a result too: it moves to inbox/failed
    }
}
