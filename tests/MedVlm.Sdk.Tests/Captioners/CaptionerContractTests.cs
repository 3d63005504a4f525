using Microsoft.Extensions.DependencyInjection;

namespace MedVlm.Tests.Captioners;

/// <summary>The captioner that runs a model in this process.</summary>
public sealed class InProcessCaptionerTests : MedicalCaptionerContract
{
    protected override async Task<IMedicalCaptioner> CreateAsync() => await MedicalCaptioner.LoadAsync(TinyModel.Path);

    [Fact]
    public async Task Disposal_ends_captions_under_way_and_later_calls()
    {
        var token = TestContext.Current.CancellationToken;
        var captioner = await CreateAsync();
        var image = MedicalImage.FromFile(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg"));
        var running = Enumerable.Range(0, 12).Select(_ => captioner.CaptionAsync(image, cancellationToken: token)).ToList();

        await captioner.DisposeAsync();
        await captioner.DisposeAsync();

        foreach (var task in running)
            if (await Record.ExceptionAsync(() => task) is { } error)
                Assert.IsType<ObjectDisposedException>(error);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => captioner.CaptionAsync(image, cancellationToken: token));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await captioner.CaptionBatchAsync([new CaptionRequest(image)], token).ToListAsync(token));
    }
}

/// <summary>The captioner that dependency injection makes, loaded at its first use, with a wrapper around it.</summary>
public sealed class RegisteredCaptionerTests : MedicalCaptionerContract
{
    protected override Task<IMedicalCaptioner> CreateAsync()
    {
        var services = new ServiceCollection();
        services.AddMedicalCaptioner().UseTinyModel().Use((inner, _) => new Wrapper(inner));
        return Task.FromResult(services.BuildServiceProvider().GetRequiredService<IMedicalCaptioner>());
    }

    sealed class Wrapper(IMedicalCaptioner inner) : DelegatingMedicalCaptioner(inner);
}

/// <summary>A captioner over a chat client, which is here a captioner in its turn: both adapters at once.</summary>
public sealed class ChatClientCaptionerTests : MedicalCaptionerContract
{
    MedicalCaptioner? _tiny;

    protected override async Task<IMedicalCaptioner> CreateAsync()
    {
        _tiny = await MedicalCaptioner.LoadAsync(TinyModel.Path);
        return new Owner(_tiny.AsChatClient().AsMedicalCaptioner(), _tiny);
    }

    /// <summary>Disposes the model too, which the chat client leaves to its maker.</summary>
    sealed class Owner(IMedicalCaptioner inner, MedicalCaptioner model) : DelegatingMedicalCaptioner(inner)
    {
        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            await model.DisposeAsync();
        }
    }
}
