using System.Diagnostics;
using System.Diagnostics.Metrics;
using MedVlm.Tests.Samples;
using Microsoft.Extensions.DependencyInjection;

namespace MedVlm.Tests.Telemetry;

/// <summary>What an operator sees of a captioner, and that it tells of no patient.</summary>
public sealed class TelemetryTests : IAsyncDisposable
{
    const string Prompt = "Is JANE DOE ill?", Expected = "Frontal chest radiograph with clear lungs.";

    static readonly string s_imagePath = Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg");

    // A source of its own for each test, since listeners hear all of a process.
    readonly string _source = $"test {Guid.NewGuid()}";
    ServiceProvider? _provider;
    TelemetryRecorder _recorder = null!;

    static CancellationToken Token => TestContext.Current.CancellationToken;

    static CaptionRequest Good => new(MedicalImage.FromFile(s_imagePath)) { Id = "DOE JANE 1970" };

    static CaptionRequest Bad => new(MedicalImage.FromBytes(new byte[3])) { Id = "ROE RICHARD 1980" };

    IMedicalCaptioner Create(Action<OpenTelemetryMedicalCaptioner>? configure = null, Action<IServiceCollection>? add = null)
    {
        var services = new ServiceCollection().AddMetrics();
        services.AddMedicalCaptioner().UseTinyModel().UseOpenTelemetry(_source, configure);
        add?.Invoke(services);
        _provider = services.BuildServiceProvider();
        var meters = _provider.GetRequiredService<IMeterFactory>();
        _recorder = new TelemetryRecorder(meter => meter.Scope == meters, _source);
        return _provider.GetRequiredService<IMedicalCaptioner>();
    }

    public async ValueTask DisposeAsync()
    {
        _recorder?.Dispose();
        if (_provider is not null)
            await _provider.DisposeAsync();
    }

    [Fact]
    public async Task A_caption_is_a_span_with_its_model_and_tokens()
    {
        var caption = await Create().CaptionAsync(Good with { Options = new CaptionOptions { MaxNewTokens = 40, Temperature = 0 } }, Token);

        var span = Assert.Single(_recorder.Spans);
        Assert.Equal($"generate_content {caption.Model}", span.DisplayName);
        Assert.Equal(ActivityKind.Internal, span.Kind);
        Assert.Equal(ActivityStatusCode.Unset, span.Status);
        Assert.InRange(span.Duration, TimeSpan.Zero, TimeSpan.FromHours(1));
        var tags = span.TagObjects.ToDictionary();
        Assert.Equal("generate_content", tags["gen_ai.operation.name"]);
        Assert.Equal("medvlm", tags["gen_ai.provider.name"]);
        Assert.Equal(caption.Model, tags["gen_ai.response.model"]);
        Assert.Equal(40, tags["gen_ai.request.max_tokens"]);
        Assert.Equal(caption.PromptTokens, tags["gen_ai.usage.input_tokens"]);
        Assert.Equal(caption.TokenIds.Count, tags["gen_ai.usage.output_tokens"]);
        Assert.Equal(["stop"], (string[])tags["gen_ai.response.finish_reasons"]!);
    }

    [Fact]
    public async Task The_client_counts_tokens_and_time()
    {
        var caption = await Create().CaptionAsync(Good, Token);

        var tokens = _recorder["gen_ai.client.token.usage"];
        Assert.Equal([caption.PromptTokens, caption.TokenIds.Count], tokens.Select(one => (int)one.Value));
        Assert.Equal(["input", "output"], tokens.Select(one => one.Tags["gen_ai.token.type"]));
        var duration = Assert.Single(_recorder["gen_ai.client.operation.duration"]);
        Assert.True(duration.Value > 0);
        Assert.Equal(caption.Model, duration.Tags["gen_ai.response.model"]);
        Assert.False(duration.Tags.ContainsKey("error.type"));
    }

    [Fact]
    public async Task The_engine_measures_with_or_without_the_wrapper()
    {
        var captioner = Create();
        var caption = await captioner.CaptionAsync(Good, Token);
        await captioner.CaptionAsync(Good, Token);
        await Assert.ThrowsAsync<ImageException>(() => captioner.CaptionAsync(Bad, Token));

        var requests = _recorder["gen_ai.server.request.duration"];
        Assert.Equal([null, null, "MedVlm.ImageException"], requests.Select(one => one.Tags.GetValueOrDefault("error.type")));
        Assert.All(requests, one => Assert.Equal(
            ("generate_content", "medvlm", caption.Model),
            (one.Tags["gen_ai.operation.name"], one.Tags["gen_ai.provider.name"], one.Tags["gen_ai.request.model"])));

        var (first, next) = (_recorder["gen_ai.server.time_to_first_token"], _recorder["gen_ai.server.time_per_output_token"]);
        Assert.Equal((2, 2), (first.Count, next.Count));
        for (int i = 0; i < 2; i++)
            Assert.Equal(requests[i].Value, first[i].Value + next[i].Value * (caption.TokenIds.Count - 1), 1e-3);

        Assert.Equal(2, _recorder["medvlm.images"].Sum(one => one.Value));
        Assert.Equal(1, _recorder["medvlm.failures"].Sum(one => one.Value));
        Assert.Equal(0, _recorder["medvlm.queue.length"][^1].Value);
        Assert.Equal(captioner.GetService<MemoryPlan>()!.Chosen!.Slots, _recorder["medvlm.slots.limit"][^1].Value);
        Assert.Equal(1, _recorder["medvlm.vision_cache.hits"][^1].Value);
        Assert.Equal(1, _recorder["medvlm.vision_cache.misses"][^1].Value);
        Assert.True(_recorder["medvlm.vision_cache.size"][^1].Value > 0);
    }

    [Fact]
    public async Task Slots_and_queue_show_what_is_under_way()
    {
        var captioner = Create(add: services => services.Configure<MedicalCaptionerOptions>(options => options.Slots = 1));
        await using var endless = captioner.CaptionStreamingAsync(
            Good with { Options = new CaptionOptions { MaxNewTokens = 8192, Temperature = 100, Seed = 1 } }, Token).GetAsyncEnumerator(Token);
        Assert.True(await endless.MoveNextAsync());
        using var cancel = new CancellationTokenSource();
        var waiting = Enumerable.Range(0, 5).Select(_ => captioner.CaptionAsync(Good, cancel.Token)).ToList();

        Assert.True(SpinWait.SpinUntil(() => _recorder["medvlm.queue.length"][^1].Value == 5, TimeSpan.FromSeconds(30)));
        Assert.Equal((1, 1), (_recorder["medvlm.slots.used"][^1].Value, _recorder["medvlm.slots.limit"][^1].Value));

        await cancel.CancelAsync();
        foreach (var one in waiting)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => one);
        Assert.True(SpinWait.SpinUntil(() => _recorder["medvlm.queue.length"][^1].Value == 0, TimeSpan.FromSeconds(30)));
        Assert.Empty(_recorder["medvlm.failures"]);
    }

    [Fact]
    public async Task A_request_that_is_given_up_while_it_runs_is_measured()
    {
        using var running = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        var meters = new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>();
        _recorder = new TelemetryRecorder(meter => meter.Scope == meters, _source);
        await using var captioner = await MedicalCaptioner.LoadAsync(
            new MedicalCaptionerOptions().UseTinyModel(), null, new(Meters: meters)
            {
                BeforeRun = (stage, _) =>
                {
                    running.Set();
                    goOn.Wait(Token);
                },
            }, Token);
        using var cancel = new CancellationTokenSource();
        var caption = captioner.CaptionAsync(Good, cancel.Token);
        Assert.True(running.Wait(TimeSpan.FromSeconds(30), Token));

        try
        {
            await cancel.CancelAsync();

            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => caption);
            Assert.Equal("System.OperationCanceledException", Assert.Single(_recorder["gen_ai.server.request.duration"]).Tags["error.type"]);
            Assert.Empty(_recorder["medvlm.failures"]);
        }
        finally
        {
            goOn.Set();   // its end waits for the run
        }
    }

    [Fact]
    public async Task A_failure_is_named_by_its_type()
    {
        await Assert.ThrowsAsync<ImageException>(() => Create().CaptionAsync(Bad, Token));

        var span = Assert.Single(_recorder.Spans);
        Assert.Equal(ActivityStatusCode.Error, span.Status);
        Assert.Equal("MedVlm.ImageException", span.GetTagItem("error.type"));
        Assert.Equal("MedVlm.ImageException", Assert.Single(_recorder["gen_ai.client.operation.duration"]).Tags["error.type"]);
    }

    [Fact]
    public async Task Each_result_of_a_batch_is_a_span_under_the_callers()
    {
        using var parent = new Activity("a job").Start();
        var results = await Create().CaptionBatchAsync([Good, Bad, Good], Token).ToListAsync(Token);
        Assert.Same(parent, Activity.Current);

        Assert.Equal(3, results.Count);
        Assert.Equal(3, _recorder.Spans.Count);
        Assert.All(_recorder.Spans, span => Assert.Equal(parent.TraceId, span.TraceId));
        Assert.All(_recorder.Spans, span => Assert.True(span.Duration > TimeSpan.Zero));
        Assert.Single(_recorder.Spans, span => span.Status == ActivityStatusCode.Error);
        Assert.Equal(3, _recorder["gen_ai.client.operation.duration"].Count);
    }

    [Fact]
    public async Task A_stream_is_one_span_until_its_end()
    {
        var captioner = Create();
        await foreach (var update in captioner.CaptionStreamingAsync(Good, Token))
            Assert.Empty(_recorder.Spans);

        Assert.Equal(Expected.Split(' ').Length, (await captioner.CaptionAsync(Good, Token)).Text.Split(' ').Length);
        Assert.Equal(2, _recorder.Spans.Count);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Prompts_captions_and_ids_go_out_only_where_the_application_says_so(bool sensitive)
    {
        var captioner = Create(telemetry => telemetry.EnableSensitiveData = sensitive);
        var request = Good with { Options = new CaptionOptions { Prompt = Prompt } };
        var text = (await captioner.CaptionAsync(request, Token)).Text;
        await captioner.CaptionBatchAsync([request, Bad], Token).ToListAsync(Token);
        await captioner.CaptionStreamingAsync(request, Token).ToListAsync(Token);
        _ = _recorder["medvlm.queue.length"];

        foreach (var secret in (string[])["DOE", "ROE", text])
            Assert.Equal(sensitive, _recorder.Texts.Any(value => value.Contains(secret, StringComparison.Ordinal)));
        if (sensitive)
            Assert.Contains(_recorder.Spans, span => span.GetTagItem("gen_ai.input.messages") is
                """[{"role":"user","parts":[{"type":"blob","modality":"image"},{"type":"text","content":"Is JANE DOE ill?"}]}]""");
    }

    [Fact]
    public async Task Keyed_captioners_are_told_apart()
    {
        Create(add: services => services.AddKeyedMedicalCaptioner("second").UseTinyModel());

        await _provider!.GetRequiredKeyedService<IMedicalCaptioner>("second").CaptionAsync(Good, Token);

        Assert.Equal("second", Assert.Single(_recorder["gen_ai.server.request.duration"]).Tags["medvlm.captioner"]);
    }

    [Fact]
    public async Task A_captioner_that_is_gone_reports_nothing()
    {
        await Create().CaptionAsync(Good, Token);
        await _provider!.GetRequiredService<IMedicalCaptioner>().DisposeAsync();

        Assert.Empty(_recorder["medvlm.slots.limit"]);
    }

    [Fact]
    public async Task Where_nobody_listens_calls_pass_straight_through()
    {
        await using var captioner = new OpenTelemetryMedicalCaptioner(new FakeCaptioner(), _source);
        string Batch() => captioner.CaptionBatchAsync(new[] { Good }.ToAsyncEnumerable(), null, Token).GetType().FullName!;

        using (new TelemetryRecorder(_ => false, "another source"))
            Assert.StartsWith("MedVlm.CaptionBatch", Batch());
        using (new TelemetryRecorder(_ => false, _source))
            Assert.StartsWith("MedVlm.OpenTelemetryMedicalCaptioner", Batch());

        using var recorder = new TelemetryRecorder(_ => false, "another source");
        await captioner.CaptionAsync(Good, Token);
        Assert.Empty(recorder.Spans);
    }

    [Fact]
    public async Task The_page_has_every_name_and_unit()
    {
        await Create().CaptionAsync(Good, Token);
        var page = await File.ReadAllTextAsync(Path.Combine(TestFolders.Repository, "docs", "telemetry.md"), Token);

        Assert.NotEmpty(_recorder.Instruments);
        Assert.All(_recorder.Instruments.Where(instrument => instrument.Name.Contains('.')), instrument =>
            Assert.Matches($@"\| `{System.Text.RegularExpressions.Regex.Escape(instrument.Name)}` \|.*\| {System.Text.RegularExpressions.Regex.Escape(instrument.Unit!)} \|", page));
        Assert.All(_recorder.Spans.SelectMany(span => span.TagObjects), tag => Assert.Contains($"`{tag.Key}`", page));
    }
}
