using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace MedVlm.Tests.Hosting;

/// <summary>Whether captions can be written, told without writing one.</summary>
public sealed class HealthCheckTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static MedicalImage Image => MedicalImage.FromFile(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg"));

    [Fact]
    public async Task Follows_a_captioner_from_registration_to_disposal()
    {
        var services = new ServiceCollection();
        services.AddMedicalCaptioner(options => options.Slots = 2).UseTinyModel().UseOpenTelemetry();
        await using var provider = services.BuildServiceProvider();
        var captioner = provider.GetRequiredService<IMedicalCaptioner>();

        var before = await CheckAsync(captioner);
        Assert.Equal((HealthStatus.Healthy, "The model is not loaded yet: the first caption does it."), (before.Status, before.Description));

        await captioner.CaptionAsync(Image, cancellationToken: Token);
        var loaded = await CheckAsync(captioner);
        Assert.Equal((HealthStatus.Healthy, "The model is loaded."), (loaded.Status, loaded.Description));
        Assert.Equal(("MedVlm.Sdk.TinyModel", 2, 0), (loaded.Data["model"], loaded.Data["slots"], loaded.Data["waiting"]));

        await captioner.GetService<MedicalCaptioner>()!.DisposeAsync();
        var ended = await CheckAsync(captioner);
        Assert.Equal((HealthStatus.Degraded, "The engine has ended and takes no more captions."), (ended.Status, ended.Description));
    }

    [Fact]
    public async Task Tells_of_a_model_that_cannot_be_loaded()
    {
        var services = new ServiceCollection();
        services.AddMedicalCaptioner(options => options.Model = "org/missing");
        await using var provider = services.BuildServiceProvider();
        var captioner = provider.GetRequiredService<IMedicalCaptioner>();
        await Assert.ThrowsAsync<ModelNotFoundException>(() => captioner.CaptionAsync(Image, cancellationToken: Token));

        var result = await CheckAsync(captioner);

        Assert.Equal((HealthStatus.Degraded, "The model could not be loaded; the next caption tries again."), (result.Status, result.Description));
        Assert.IsType<ModelNotFoundException>(result.Exception);
    }

    [Fact]
    public async Task A_captioner_that_runs_elsewhere_is_healthy()
    {
        await using var tiny = await MedicalCaptioner.LoadAsync(TinyModel.Path, Token);
        await using var elsewhere = new Elsewhere(tiny);

        Assert.Equal("The model runs elsewhere.", (await CheckAsync(elsewhere)).Description);
    }

    [Fact]
    public async Task A_chat_client_is_never_loaded()
    {
        await using var captioner = new NoClient().AsMedicalCaptioner();

        Assert.Equal("The model runs elsewhere.", (await CheckAsync(captioner)).Description);
    }

    sealed class NoClient : IChatClient
    {
        public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
            IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose() { }
    }

    static Task<HealthCheckResult> CheckAsync(IMedicalCaptioner captioner)
    {
        var check = new MedicalCaptionerHealthCheck(captioner);
        return check.CheckHealthAsync(new HealthCheckContext { Registration = new HealthCheckRegistration("captioner", check, HealthStatus.Degraded, null) }, Token);
    }

    sealed class Elsewhere(IMedicalCaptioner inner) : DelegatingMedicalCaptioner(inner)
    {
        public override object? GetService(Type serviceType, object? serviceKey = null) =>
            serviceType == typeof(MedicalCaptioner) ? null : base.GetService(serviceType, serviceKey);
    }
}
