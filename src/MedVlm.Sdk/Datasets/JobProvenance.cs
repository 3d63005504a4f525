using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace MedVlm.Datasets;

/// <summary>What captions were made with: the file beside them.</summary>
internal sealed record JobProvenance
{
    public const int CurrentVersion = 1;

    public required int Version { get; init; }

    /// <summary>SHA-256 of <see cref="Identity"/> as JSON.</summary>
    public required string Fingerprint { get; init; }

    public required JobIdentity Identity { get; init; }

    public required JobShard Shard { get; init; }

    /// <summary>The model as it was named at the last start.</summary>
    public required string Model { get; init; }

    public string? Adapter { get; init; }

    /// <summary>What kind of data set it is.</summary>
    public required string Dataset { get; init; }

    /// <summary>The runs, the last one at the end; of very many the last <see cref="MostRuns"/>.</summary>
    public required IReadOnlyList<JobRun> Runs { get; init; }

    public const int MostRuns = 200;

    /// <summary>Whether the last run has tried every image that it was to try.</summary>
    [JsonIgnore]
    public bool RanToItsEnd => Runs is [.., { Outcome: JobRun.Complete or JobRun.FailuresLeft }];

    public static JobProvenance Of(JobIdentity identity, DatasetShard shard, CaptionerMetadata model, string dataset) => new()
    {
        Version = CurrentVersion,
        Identity = identity,
        Fingerprint = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(identity, JobJson.Default.JobIdentity))),
        Shard = new(shard.Index, shard.Count),
        Model = model.Model,
        Adapter = model.Adapter,
        Dataset = dataset,
        Runs = [],
    };

    /// <summary>Reads the file; null where there is none.</summary>
    /// <exception cref="CaptionJobException">The file is none of a job, or of a later version.</exception>
    public static JobProvenance? Read(string path)
    {
        try
        {
            if (!File.Exists(path))
                return null;
            var provenance = JsonSerializer.Deserialize(File.ReadAllBytes(path), JobJson.Default.JobProvenance);
            if (provenance?.Version > CurrentVersion)
                throw new CaptionJobException($"{Path.GetFileName(path)} was written by a later version of MedVlm.Sdk: go on with that one, or give another output file.");
            return provenance is { Fingerprint: not null, Identity.Dataset: not null, Shard: not null, Runs: not null } ? provenance : throw Damaged(path, null);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or IOException or UnauthorizedAccessException)
        {
            throw Damaged(path, e);
        }
    }

    public void Write(string path) => AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, this, JobJson.Default.JobProvenance));

    /// <summary>With a run at the end, or with the last one replaced.</summary>
    public JobProvenance With(JobRun run, bool replace) => this with { Runs = [.. (replace ? Runs.SkipLast(1) : Runs).TakeLast(MostRuns - 1), run] };

    /// <summary>What differs between this, which was there first, and another, one line each.</summary>
    public IReadOnlyList<string> DifferencesTo(JobProvenance other)
    {
        var differences = new List<string>();
        Compare("", JsonSerializer.SerializeToElement(Identity, JobJson.Default.JobIdentity), JsonSerializer.SerializeToElement(other.Identity, JobJson.Default.JobIdentity));
        if (Shard != other.Shard)
            differences.Add($"shard was {Shard.Index}/{Shard.Count}, is {other.Shard.Index}/{other.Shard.Count}");
        return differences;

        void Compare(string path, JsonElement? before, JsonElement? now)
        {
            if (before is { ValueKind: JsonValueKind.Object } left && now is { ValueKind: JsonValueKind.Object } right)
                foreach (var key in left.EnumerateObject().Concat(right.EnumerateObject()).Select(property => property.Name).Distinct())
                    Compare(
                        path.Length == 0 ? key : $"{path}.{key}",
                        left.TryGetProperty(key, out var a) ? a : null, right.TryGetProperty(key, out var b) ? b : null);
            else if (before?.GetRawText() != now?.GetRawText())
                differences.Add($"{path} was {before?.GetRawText() ?? "not set"}, is {now?.GetRawText() ?? "not set"}");
        }
    }

    static CaptionJobException Damaged(string path, Exception? e) => new(
        $"{Path.GetFileName(path)} cannot be read, so that nobody knows what the captions beside it were made with. Restore it, or give another output file.", e);
}

/// <summary>What must be the same for captions to belong together.</summary>
internal sealed record JobIdentity
{
    /// <summary>The model's name, where there is no hash of its content.</summary>
    public string? Model { get; init; }

    public string? ModelContent { get; init; }

    public required Precision Precision { get; init; }

    /// <summary>The options of the captions, the prompt filled in.</summary>
    public required CaptionOptions Options { get; init; }

    public required DatasetIdentity Dataset { get; init; }
}

/// <summary>Which data set it is: its ids as a set, and the prompts that it brings. Not its order, place or file format.</summary>
/// <param name="Items">Different ids.</param>
/// <param name="Ids">Sum of the ids' keys modulo 2^128, as hex.</param>
/// <param name="Prompts">The same over ids and prompts together; null where no item brings one.</param>
internal sealed record DatasetIdentity(long Items, string Ids, string? Prompts);

internal sealed record JobShard(int Index, int Count);

/// <summary>One run of a job.</summary>
internal sealed record JobRun
{
    /// <summary>What <see cref="Outcome"/> says of a run that came to its end.</summary>
    public const string Complete = "complete", FailuresLeft = "failures left";

    public required DateTimeOffset Started { get; init; }

    /// <summary>Null while it runs, and after it was killed.</summary>
    public DateTimeOffset? Finished { get; init; }

    /// <summary>"complete", "failures left", "stopped", or the type of the error that ended it.</summary>
    public string? Outcome { get; init; }

    public long? Captioned { get; init; }

    public long? Failed { get; init; }

    public required string Sdk { get; init; }

    public string? Runtime { get; init; }

    public string? Device { get; init; }

    public required string Os { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(JobProvenance))]
internal sealed partial class JobJson : JsonSerializerContext;
