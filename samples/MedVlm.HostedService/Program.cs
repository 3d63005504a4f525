using MedVlm;
using MedVlm.HostedServiceSample;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

try
{
    // appsettings.json lies beside the application, wherever it is started from.
    var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { Args = args, ContentRootPath = AppContext.BaseDirectory });

    var captioner = builder.Services.AddMedicalCaptioner().UseOpenTelemetry();
    if (string.IsNullOrEmpty(builder.Configuration["MedVlm:Model"]))
        captioner.UseTinyModel();
    builder.Services.AddInbox();
    builder.Services.AddConsoleTelemetry(builder.Configuration);

    var host = builder.Build();
    host.Services.GetRequiredService<IStartupValidator>().Validate();   // all settings at once, and before the host would log a stack trace
    var worker = host.Services.GetServices<IHostedService>().OfType<InboxWorker>().Single();
    await host.RunAsync();
    return worker.ExecuteTask is { IsFaulted: true } ? 1 : 0;   // the host has logged the error, but would say 0
}
catch (Exception e) when (SettingsErrors.Of(e) is { } errors)
{
    foreach (var error in errors)
        Console.Error.WriteLine(error);
    return 2;
}
