// snippet: hosting
using MedVlm;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
// end

namespace DocumentationSnippets;

internal static class Hosting
{
    public static async Task RunAsync(string[] args)
    {
        // snippet: hosting
        var builder = Host.CreateApplicationBuilder(args);
        builder.Services.AddMedicalCaptioner(options => options.Slots = 8).UseTinyModel();
        using var host = builder.Build();

        var captioner = host.Services.GetRequiredService<IMedicalCaptioner>();
        await foreach (var result in captioner.CaptionBatchAsync(CaptionRequest.FromFolder(args[0])))
            Console.WriteLine($"{result.Request.Id}: {result.Caption?.Text ?? result.Error!.Message}");
        // end
    }
}
