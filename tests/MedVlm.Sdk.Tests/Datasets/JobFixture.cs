using System.Text.Json;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tests.Samples;

namespace MedVlm.Tests.Datasets;

/// <summary>A small data set in a folder of its own, and jobs over it.</summary>
internal sealed class JobFixture : IDisposable
{
    public TemporaryFolder Folder { get; } = new();

    public JobFixture(int images)
    {
        var png = DatasetFiles.Png(1);
        Ids = [.. Enumerable.Range(0, images).Select(i => $"Rö 胸部 {i:D4}.png").Order(StringComparer.Ordinal)];
        foreach (var id in Ids)
            Folder.Write($"images/{id}", png);
    }

    public string[] Ids { get; }

    public string Output => Folder.File("captions.jsonl");

    public string Failures => Folder.File("captions.failed.jsonl");

    public string Provenance => Folder.File("captions.provenance.json");

    public CaptionDataset Dataset => CaptionDataset.FromFolder(Folder.File("images"));

    public CaptionJobOptions Options => new() { Output = Output };

    public Task<CaptionJobReport> RunAsync(
        CaptionJobOptions? options = null, Func<CaptionRequest, CancellationToken, Task>? before = null, CaptionerMetadata? model = null,
        IProgress<CaptionJobProgress>? progress = null, CancellationToken? cancellationToken = null, CaptionDataset? dataset = null, TimeProvider? time = null) =>
        new CaptionJob(new Named(new FakeCaptioner(before), model ?? Model), dataset ?? Dataset, options ?? Options, time)
            .RunAsync(progress, cancellationToken ?? TestContext.Current.CancellationToken);

    public static CaptionerMetadata Model { get; } = new("a model", Precision.Fp32, "What?");

    /// <summary>Lines of a file by their ids, each of which must be there once.</summary>
    public static Dictionary<string, JsonElement> Lines(string path) =>
        File.ReadAllLines(path).Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(line => line.GetProperty("id").GetString()!);

    public void Dispose() => Folder.Dispose();

    sealed class Named(IMedicalCaptioner inner, CaptionerMetadata metadata) : DelegatingMedicalCaptioner(inner)
    {
        public override object? GetService(Type serviceType, object? serviceKey = null) =>
            serviceType == typeof(CaptionerMetadata) ? metadata : base.GetService(serviceType, serviceKey);
    }
}
