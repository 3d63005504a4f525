using MedVlm.Tests.Checkpoints;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace MedVlm.Tests.Hosting;

/// <summary>What a service collection and a host make of <c>AddMedicalCaptioner</c>, from registration to disposal.</summary>
public sealed class HostingTests
{
    const string Model = "MedVlm:Model", Expected = "Frontal chest radiograph with clear lungs.";

    static readonly string s_imagePath = Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg");

    static MedicalImage Image => MedicalImage.FromFile(s_imagePath);

    static CancellationToken Token => TestContext.Current.CancellationToken;

    // ---- Registration ----

    [Fact]
    public async Task A_load_under_way_is_given_up_when_its_owner_goes()
    {
        var begun = new TaskCompletionSource();
        await using var captioner = new LazyMedicalCaptioner(async token =>
        {
            begun.SetResult();
            await Task.Delay(Timeout.Infinite, token);
            return null!;
        });
        var call = captioner.CaptionAsync(new CaptionRequest(MedicalImage.FromFile("x.png")), TestContext.Current.CancellationToken);
        await begun.Task;

        await captioner.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => call);
        await Assert.ThrowsAsync<ObjectDisposedException>(
            () => captioner.CaptionAsync(new CaptionRequest(MedicalImage.FromFile("x.png")), TestContext.Current.CancellationToken));
    }

    public static TheoryData<string, MedicalCaptionerOptions> Absent => new()
    {
        { "DefaultCaption", new MedicalCaptionerOptions { DefaultCaption = null! } },
        { "ImageLimits", new MedicalCaptionerOptions { ImageLimits = null! } },
        { "ImageDetail", new MedicalCaptionerOptions { DefaultCaption = new CaptionOptions { ImageDetail = null! } } },
        { "StopSequences", new MedicalCaptionerOptions { DefaultCaption = new CaptionOptions { StopSequences = null! } } },
    };

    [Theory, MemberData(nameof(Absent))]
    public async Task Options_that_are_null_are_named(string name, MedicalCaptionerOptions options)
    {
        var error = await Assert.ThrowsAsync<OptionsValidationException>(() => MedicalCaptioner.LoadAsync(options.UseTinyModel(), cancellationToken: Token));
        Assert.StartsWith($"{name}: ", error.Message, StringComparison.Ordinal);

        if (options.DefaultCaption is { } caption && name != "ImageLimits")
        {
            await using var captioner = await MedicalCaptioner.LoadAsync(new MedicalCaptionerOptions().UseTinyModel(), cancellationToken: Token);
            await Assert.ThrowsAsync<OptionsValidationException>(() => captioner.CaptionAsync(Image, caption, Token));
        }
    }

    [Fact]
    public async Task A_service_collection_alone_is_enough()
    {
        var services = new ServiceCollection();
        services.AddMedicalCaptioner().UseTinyModel();
        await using var provider = services.BuildServiceProvider(validateScopes: true);

        var caption = await provider.GetRequiredService<IMedicalCaptioner>().CaptionAsync(Image, cancellationToken: Token);

        Assert.Equal(Expected, caption.Text);
        Assert.Same(provider.GetRequiredService<IMedicalCaptioner>(), provider.GetRequiredService<IMedicalCaptioner>());
    }

    [Fact]
    public async Task A_host_captions()
    {
        using var host = Host(services => services.AddMedicalCaptioner().UseTinyModel());
        await host.StartAsync(Token);

        var caption = await host.Services.GetRequiredService<IMedicalCaptioner>().CaptionAsync(Image, cancellationToken: Token);

        Assert.Equal(Expected, caption.Text);
        await host.StopAsync(Token);
    }

    [Fact]
    public async Task A_second_registration_goes_on_with_the_first()
    {
        var order = new List<string>();
        using var host = Host(services =>
        {
            var first = services.AddMedicalCaptioner(o => o.Slots = 2).UseTinyModel().Use((inner, _) => new Named("first", order, inner));
            var second = services.AddMedicalCaptioner(o => o.Threads = 1).Use((inner, _) => new Named("second", order, inner));
            Assert.Same(first, second);
        });

        var captioner = Assert.Single(host.Services.GetServices<IMedicalCaptioner>());
        Assert.Single(host.Services.GetServices<IHostedService>());
        Assert.Single(host.Services.GetServices<IValidateOptions<MedicalCaptionerOptions>>(), v => v is not ValidateOptions<MedicalCaptionerOptions>);
        var options = host.Services.GetRequiredService<IOptions<MedicalCaptionerOptions>>().Value;
        Assert.Equal((2, 1, TinyModel.Path), (options.Slots, options.Threads, options.Model));

        Assert.Equal(Expected, (await captioner.CaptionAsync(Image, cancellationToken: Token)).Text);
        Assert.Equal(["second", "first"], order);
    }

    [Fact]
    public async Task Wrappers_are_used_in_order_and_the_last_is_the_outermost()
    {
        var order = new List<string>();
        await using var provider = Services(services => services.AddMedicalCaptioner().UseTinyModel()
            .Use((inner, _) => new Named("inner", order, inner))
            .Use((inner, given) => new Named(given.GetRequiredService<string>(), order, inner)), services => services.AddSingleton("outer"));

        var captioner = provider.GetRequiredService<IMedicalCaptioner>();
        await captioner.CaptionAsync(Image, cancellationToken: Token);

        Assert.Equal(["outer", "inner"], order);
        Assert.Equal("outer", captioner.GetService<Named>()!.Name);
        Assert.NotNull(captioner.GetService<CaptionerMetadata>());
    }

    [Fact]
    public async Task A_wrapper_that_cannot_be_made_leaves_nothing_behind()
    {
        IMedicalCaptioner? loaded = null;
        await using var provider = Services(services => services.AddMedicalCaptioner().UseTinyModel().Use((inner, _) =>
        {
            loaded = inner;
            throw new InvalidOperationException("no wrapper today");
        }));

        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => CaptionAsync(provider));

        Assert.Equal("no wrapper today", error.Message);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => loaded!.CaptionAsync(Image, cancellationToken: Token));
    }

    // ---- Options ----

    [Fact]
    public void Options_come_from_the_configuration_section()
    {
        using var host = Host(services => services.AddMedicalCaptioner(),
            (Model, "org/name"), ("MedVlm:Precision", "Fp32"), ("MedVlm:Slots", "7"), ("MedVlm:Threads", "3"), ("MedVlm:LoadAtStartup", "true"),
            ("MedVlm:Adapter", "org/adapter"), ("MedVlm:ImageLimits:MaxPixels", "1000000"),
            ("MedVlm:DefaultCaption:Prompt", "What is shown?"), ("MedVlm:DefaultCaption:MaxNewTokens", "33"),
            ("MedVlm:DefaultCaption:Temperature", "0.5"), ("MedVlm:DefaultCaption:TopP", "0.9"), ("MedVlm:DefaultCaption:TopK", "40"),
            ("MedVlm:DefaultCaption:Seed", "17"), ("MedVlm:DefaultCaption:RepetitionPenalty", "1.2"),
            ("MedVlm:DefaultCaption:StopSequences:0", "\n"), ("MedVlm:DefaultCaption:StopSequences:1", "User:"),
            ("MedVlm:DefaultCaption:ImageDetail:LongestEdge", "1024"), ("MedVlm:DefaultCaption:ImageDetail:SplitIntoTiles", "false"));

        var options = host.Services.GetRequiredService<IOptions<MedicalCaptionerOptions>>().Value;

        Assert.Equal(("org/name", "org/adapter", Precision.Fp32, 7, 3, true),
            (options.Model, options.Adapter, options.Precision, options.Slots, options.Threads, options.LoadAtStartup));
        Assert.Equal((1_000_000, new ImageLimits().MaxBytes), (options.ImageLimits.MaxPixels, options.ImageLimits.MaxBytes));
        var caption = options.DefaultCaption;
        Assert.Equal(("What is shown?", 33, 0.5f, 0.9f, 40, 17, 1.2f),
            (caption.Prompt, caption.MaxNewTokens, caption.Temperature, caption.TopP, caption.TopK, caption.Seed, caption.RepetitionPenalty));
        Assert.Equal(["\n", "User:"], caption.StopSequences);
        Assert.Equal(new ImageDetail { LongestEdge = 1024, SplitIntoTiles = false }, caption.ImageDetail);
    }

    [Fact]
    public async Task Code_overrides_configuration_and_leaves_the_rest_of_it()
    {
        using var host = Host(services => services.AddMedicalCaptioner(o => o.DefaultCaption.Prompt = "Which body region is shown?").UseTinyModel(),
            (Model, "org/name"), ("MedVlm:DefaultCaption:Prompt", "What is shown?"), ("MedVlm:DefaultCaption:MaxNewTokens", "2"));

        var caption = await CaptionAsync(host.Services);

        Assert.Equal(2, caption.TokenIds.Count);
        Assert.Equal(FinishReason.MaxNewTokens, caption.FinishReason);
        Assert.Equal("Which body region is shown?",
            host.Services.GetRequiredService<IMedicalCaptioner>().GetService<CaptionerMetadata>()!.DefaultPrompt);
    }

    [Fact]
    public async Task Later_changes_of_options_have_no_effect()
    {
        var options = new MedicalCaptionerOptions { DefaultCaption = { MaxNewTokens = 2 } }.UseTinyModel();
        await using var captioner = await MedicalCaptioner.LoadAsync(options, cancellationToken: Token);

        options.DefaultCaption.MaxNewTokens = 100;
        options.DefaultCaption.Prompt = "Which body region is shown?";

        Assert.Equal(2, (await captioner.CaptionAsync(Image, cancellationToken: Token)).TokenIds.Count);
    }

    public static TheoryData<string, string, string> InvalidOptions => new()
    {
        { "MedVlm:Model", "", "Model: The MedicalCaptionerOptions.Model field is required." },
        { "MedVlm:Slots", "0", "Slots: The field MedicalCaptionerOptions.Slots must be between 1 and 256." },
        { "MedVlm:Threads", "-1", "Threads: The field MedicalCaptionerOptions.Threads must be between 1 and 1024." },
        { "MedVlm:Precision", "77", "Precision: The field MedicalCaptionerOptions.Precision is invalid." },
        { "MedVlm:ImageLimits:MaxPixels", "0", "MaxPixels: The field MedicalCaptionerOptions.ImageLimits.MaxPixels must be between 1 and 700000000." },
        {
            "MedVlm:DefaultCaption:MaxNewTokens", "0",
            "MaxNewTokens: The field MedicalCaptionerOptions.DefaultCaption.MaxNewTokens must be between 1 and 8192."
        },
        {
            "MedVlm:DefaultCaption:Temperature", "-0.5",
            "Temperature: The field MedicalCaptionerOptions.DefaultCaption.Temperature must be between 0 and 100."
        },
        { "MedVlm:DefaultCaption:StopSequences:0", "", "StopSequences: A stop sequence is empty, which every text begins with." },
        {
            "MedVlm:DefaultCaption:ImageDetail:LongestEdge", "5000",
            "LongestEdge: The field MedicalCaptionerOptions.DefaultCaption.ImageDetail.LongestEdge must be between 1 and 4096."
        },
    };

    [Theory, MemberData(nameof(InvalidOptions))]
    public async Task A_host_does_not_start_with_an_option_out_of_range(string key, string value, string message)
    {
        using var host = Host(services => services.AddMedicalCaptioner(), (Model, "org/name"), (key, value));

        var error = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Token));

        Assert.Equal(message, error.Message);
    }

    [Fact]
    public async Task Without_a_host_the_first_caption_says_which_option_is_out_of_range()
    {
        await using var provider = Services(services => services.AddMedicalCaptioner());

        var error = await Assert.ThrowsAsync<OptionsValidationException>(() => CaptionAsync(provider));

        Assert.Equal("Model: The MedicalCaptionerOptions.Model field is required.", error.Message);
    }

    [Fact]
    public async Task A_configured_text_that_is_no_number_is_named_by_its_key()
    {
        using var host = Host(services => services.AddMedicalCaptioner(), (Model, "org/name"), ("MedVlm:Slots", "four"));

        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => host.StartAsync(Token));

        Assert.Equal("Failed to convert configuration value 'four' at 'MedVlm:Slots' to type 'System.Int32'.", error.Message);
    }

    // ---- Several models ----

    [Fact]
    public async Task Keyed_registrations_share_nothing()
    {
        using var host = Host(services =>
        {
            services.AddMedicalCaptioner().UseTinyModel();
            services.AddKeyedMedicalCaptioner("short", o => o.DefaultCaption.MaxNewTokens = 3).UseTinyModel();
            services.AddKeyedMedicalCaptioner("configured").UseTinyModel();
            services.AddKeyedMedicalCaptioner("missing", o => o.Model = "org/missing");
        }, ("MedVlm:Slots", "2"), ("MedVlm:configured:Slots", "5"), ("MedVlm:configured:DefaultCaption:MaxNewTokens", "4"));
        await host.StartAsync(Token);

        var captioners = new[] { "", "short", "configured" }.Select(key => key.Length == 0
            ? host.Services.GetRequiredService<IMedicalCaptioner>()
            : host.Services.GetRequiredKeyedService<IMedicalCaptioner>(key)).ToArray();
        var captions = await Task.WhenAll(captioners.Select(captioner => captioner.CaptionAsync(Image, cancellationToken: Token)));

        Assert.Equal(Expected, captions[0].Text);
        Assert.Equal([3, 4], captions[1..].Select(caption => caption.TokenIds.Count));
        Assert.Equal(3, captioners.Select(captioner => captioner.GetService<MedicalCaptioner>()).Distinct().Count());
        var options = host.Services.GetRequiredService<IOptionsMonitor<MedicalCaptionerOptions>>();
        Assert.Equal(new int?[] { 2, null, 5 }, new[] { "", "short", "configured" }.Select(name => options.Get(name).Slots));
        await Assert.ThrowsAsync<ModelNotFoundException>(() => host.Services.GetRequiredKeyedService<IMedicalCaptioner>("missing")
            .CaptionAsync(Image, cancellationToken: Token));
    }

    // ---- Loading ----

    [Fact]
    public async Task A_model_is_loaded_at_the_first_caption_and_a_failed_load_is_repeated_by_the_next()
    {
        using var folder = new TemporaryFolder();
        var model = folder.File("model");
        using var host = Host(services => services.AddMedicalCaptioner(o => o.Model = model));

        await host.StartAsync(Token);
        var captioner = host.Services.GetRequiredService<IMedicalCaptioner>();
        Assert.Null(captioner.GetService<CaptionerMetadata>());
        await Assert.ThrowsAsync<ModelNotFoundException>(() => captioner.CaptionAsync(Image, cancellationToken: Token));

        Directory.CreateDirectory(model);
        foreach (var file in Directory.EnumerateFiles(TinyModel.Path))
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        Assert.Equal(Expected, (await captioner.CaptionAsync(Image, cancellationToken: Token)).Text);
    }

    [Fact]
    public async Task A_host_that_loads_at_startup_does_not_start_without_its_model()
    {
        using var host = Host(services => services.AddMedicalCaptioner(), (Model, "org/missing"), ("MedVlm:LoadAtStartup", "true"));

        var error = await Assert.ThrowsAsync<ModelNotFoundException>(() => host.StartAsync(Token));

        Assert.StartsWith("Model \"org/missing\" was not found.", error.Message);
    }

    [Fact]
    public async Task A_host_that_loads_at_startup_has_its_model_when_it_has_started()
    {
        using var host = Host(services => services.AddMedicalCaptioner(o => o.LoadAtStartup = true).UseTinyModel());

        await host.StartAsync(Token);

        Assert.NotNull(host.Services.GetRequiredService<IMedicalCaptioner>().GetService<CaptionerMetadata>());
    }

    [Fact]
    public async Task Callers_at_the_same_time_load_the_model_once()
    {
        var log = new LogRecorder();
        await using var provider = Services(services => services.AddMedicalCaptioner().UseTinyModel(), log.AddTo);

        var captions = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => Task.Run(() => CaptionAsync(provider))));

        Assert.All(captions, caption => Assert.Equal(Expected, caption.Text));
        Assert.Single(log.Entries, entry => entry.Text.StartsWith("Loaded ", StringComparison.Ordinal));
    }

    // ---- Disposal ----

    [Theory, InlineData("at once"), InlineData("asynchronously")]
    public async Task The_container_disposes_the_captioner(string how)
    {
        var provider = Services(services => services.AddMedicalCaptioner().UseTinyModel());
        var captioner = provider.GetRequiredService<IMedicalCaptioner>();
        await captioner.CaptionAsync(Image, cancellationToken: Token);
        var loaded = captioner.GetService<MedicalCaptioner>()!;

        if (how == "at once")
            provider.Dispose();
        else
            await provider.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => captioner.CaptionAsync(Image, cancellationToken: Token));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => loaded.CaptionAsync(Image, cancellationToken: Token));
    }

    [Fact]
    public async Task A_container_may_be_disposed_while_a_caption_is_written()
    {
        var provider = Services(services => services.AddMedicalCaptioner().UseTinyModel());
        var captioner = provider.GetRequiredService<IMedicalCaptioner>();

        // Almost even draws among 1600 tokens: the end is hardly ever drawn, so that the caption goes on and on.
        var endless = new CaptionOptions { MaxNewTokens = 8192, Temperature = 100, Seed = 1 };
        await using var updates = captioner.CaptionStreamingAsync(Image, endless, Token).GetAsyncEnumerator(Token);
        Assert.True(await updates.MoveNextAsync());

        await provider.DisposeAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(async () =>
        {
            while (await updates.MoveNextAsync())
            {
            }
        });
    }

    [Fact]
    public async Task A_captioner_that_was_never_used_is_disposed_without_being_loaded()
    {
        var log = new LogRecorder();
        using (var host = Host(services => log.AddTo(services.AddMedicalCaptioner().UseTinyModel().Services)))
            Assert.NotNull(host.Services.GetRequiredService<IMedicalCaptioner>());

        await Task.Yield();
        Assert.Empty(log.Entries);
    }

    // ---- Logs ----

    [Fact]
    public async Task The_demonstration_models_notice_is_logged_once_for_each_load()
    {
        var log = new LogRecorder();
        await using var provider = Services(services =>
        {
            services.AddMedicalCaptioner().UseTinyModel();
            services.AddKeyedMedicalCaptioner("other").UseTinyModel();
        }, log.AddTo);

        for (int i = 0; i < 3; i++)
            await CaptionAsync(provider);
        Assert.Single(log.Entries, IsNotice);

        await provider.GetRequiredKeyedService<IMedicalCaptioner>("other").CaptionAsync(Image, cancellationToken: Token);
        Assert.Equal(2, log.Entries.Count(IsNotice));

        static bool IsNotice(LogEntry entry) =>
            entry.Level == LogLevel.Warning && entry.Text.Contains("not for clinical use", StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task No_log_entry_at_information_or_above_tells_of_an_image_or_a_caption()
    {
        var log = new LogRecorder();
        using var folder = new TemporaryFolder();
        var (good, bad) = (folder.File("DOE JANE 1970.jpg"), folder.Write("ROE RICHARD 1980.png", "no image"));
        File.Copy(s_imagePath, good);
        await using var provider = Services(services => services.AddMedicalCaptioner().UseTinyModel(), log.AddTo);
        var captioner = provider.GetRequiredService<IMedicalCaptioner>();

        var results = new List<CaptionResult>();
        await foreach (var result in captioner.CaptionBatchAsync(CaptionRequest.FromFolder(folder.Path), Token))
            results.Add(result);
        var missing = new CaptionRequest(MedicalImage.FromFile(folder.File("POE PAT.png"))) { Id = "POE PAT" };
        await Assert.ThrowsAsync<ImageException>(() => captioner.CaptionAsync(missing, Token));

        Assert.Equal([false, true], results.Select(result => result.Succeeded).Order());
        var text = results.Single(result => result.Succeeded).Caption!.Text;
        string[] secrets = ["DOE", "ROE", "POE", folder.Path, "radiograph", text];
        Assert.NotEmpty(log.Entries);
        Assert.All(log.Entries.Where(entry => entry.Level >= LogLevel.Information), entry =>
            Assert.DoesNotContain(secrets, secret => entry.Text.Contains(secret, StringComparison.OrdinalIgnoreCase)));
    }

    // ---- Helpers ----

    static Task<Caption> CaptionAsync(IServiceProvider provider) =>
        provider.GetRequiredService<IMedicalCaptioner>().CaptionAsync(Image, cancellationToken: Token);

    static ServiceProvider Services(params Action<IServiceCollection>[] add)
    {
        var services = new ServiceCollection();
        foreach (var one in add)
            one(services);
        return services.BuildServiceProvider();
    }

    static IHost Host(Action<IServiceCollection> add, params (string Key, string Value)[] configuration)
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        foreach (var (key, value) in configuration)
            builder.Configuration[key] = value;
        add(builder.Services);
        return builder.Build();
    }

    sealed class Named(string name, List<string> order, IMedicalCaptioner inner) : DelegatingMedicalCaptioner(inner)
    {
        public string Name => name;

        public override Task<Caption> CaptionAsync(CaptionRequest request, CancellationToken cancellationToken = default)
        {
            order.Add(name);
            return base.CaptionAsync(request, cancellationToken);
        }
    }
}
