using System.Buffers;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MedVlm.Datasets;
using Microsoft.Extensions.AI;

namespace MedVlm;

/// <summary>
/// Captions a data set into a file of JSON lines, and cannot lose work: end it at any moment, in any way, and start it again, and it goes on where it
/// was, with no caption lost and none done twice.
/// </summary>
/// <remarks>
/// A job is its output file. Everything that it must know to go on lies there and beside it; docs/jobs.md describes the files. The file has each
/// id at most once at every moment, in the order in which captions were finished. Memory does not grow with the number of images but for 23 to 46
/// bytes each, however long their ids and captions are. Not thread-safe; one process at a time may write an output.
/// </remarks>
public sealed class CaptionJob
{
    readonly IMedicalCaptioner _captioner;
    readonly CaptionDataset _dataset;
    readonly CaptionJobOptions _options;
    readonly TimeProvider _time;

    /// <summary>Describes a job. Nothing is read or written yet.</summary>
    /// <param name="captioner">Writes the captions; stays the caller's to dispose.</param>
    /// <param name="dataset">The images.</param>
    /// <param name="options">Where the captions go, and how.</param>
    /// <param name="timeProvider">The clock. Default: the system's.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">An option of the captions is out of its range.</exception>
    public CaptionJob(IMedicalCaptioner captioner, CaptionDataset dataset, CaptionJobOptions options, TimeProvider? timeProvider = null)
    {
        ArgumentNullException.ThrowIfNull(captioner);
        ArgumentNullException.ThrowIfNull(dataset);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentException.ThrowIfNullOrEmpty(options.Output);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Retry.MaxAttempts, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.Retry.MaxAttempts, 15);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Retry.MaxFailuresInARow, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.FlushInterval, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.ProgressInterval, TimeSpan.Zero);
        OptionsChecks.ThrowIfInvalid(options.Caption);
        if (options.Caption is { Temperature: > 0, Seed: null })
            throw new ArgumentException("Above temperature 0 a job needs a Seed: without one a caption would depend on when the job was stopped.", nameof(options));
        (_captioner, _dataset, _time) = (captioner, dataset, timeProvider ?? TimeProvider.System);
        _options = options with { Caption = options.Caption.Snapshot() };
    }

    /// <summary>Begins the job, or goes on with it, until every image has its caption or has failed as often as it may.</summary>
    /// <param name="progress">Is told how far the job is, on the thread that the job runs on.</param>
    /// <param name="cancellationToken">Stops the job; what was captioned is on the disk, and the next run goes on.</param>
    /// <returns>What there is now.</returns>
    /// <exception cref="CaptionJobChangedException">The output was begun with something else.</exception>
    /// <exception cref="CaptionJobException">Another process writes the output, its files are damaged, or the model fails on every image.</exception>
    /// <exception cref="DatasetException">The data set cannot be read.</exception>
    /// <exception cref="MedVlmException">The model cannot be loaded.</exception>
    /// <exception cref="IOException">The output cannot be written: the disk is full.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async Task<CaptionJobReport> RunAsync(IProgress<CaptionJobProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var files = new JobFiles(_options.Output);
        JobFiles.CheckCsv(_options.Csv, [files]);
        var model = await DescribeCaptionerAsync(cancellationToken).ConfigureAwait(false);
        var options = _options.Caption with { Prompt = _options.Caption.Prompt ?? model.DefaultPrompt };
        var index = await DatasetIndex.ReadAsync(_dataset, _options.Shard, cancellationToken).ConfigureAwait(false);
        var content = await Task.Run(() => model.ContentHash, cancellationToken).ConfigureAwait(false);
        var identity = new JobIdentity
        {
            Model = content is null ? model.Model : null, ModelContent = content, Precision = model.Precision, Options = options, Dataset = index.Identity,
        };

        using var taken = files.TakeLock();
        var provenance = Begin(files, JobProvenance.Of(identity, _options.Shard, model, _dataset.Description), RunOf(model));
        using var captions = OpenCaptions(files, index);
        using var failures = new JobFailures(files, index, _options.Retry);
        var run = new Run(this, options, index, captions, failures, new JobProgress(index, _time, _options.ProgressInterval, progress));
        try
        {
            await run.ToTheEndAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            captions.Flush();
            failures.Flush();
            Finish(e is OperationCanceledException ? "stopped" : e.GetType().Name);
            throw;
        }

        captions.Flush();
        var (listed, failuresFile) = failures.Complete(index);
        bool complete = index.CaptionedCount == index.Total;
        if (_options.Csv is { } csv && complete)
            SubmissionCsv.Write(files.Output, csv);
        Finish(complete ? JobRun.Complete : JobRun.FailuresLeft);
        return new CaptionJobReport
        {
            Total = index.Total,
            Captioned = index.CaptionedCount,
            CaptionedNow = run.Progress.Captioned,
            TokensNow = run.Progress.Tokens,
            Elapsed = run.Progress.Elapsed,
            Failures = listed,
            DuplicateCount = index.DuplicateCount,
            DuplicateIds = index.Duplicates,
            Output = files.Output,
            FailuresFile = failuresFile,
            Csv = complete ? _options.Csv : null,
        };

        void Finish(string outcome) => provenance.With(
            provenance.Runs[^1] with
            {
                Finished = _time.GetUtcNow(), Outcome = outcome, Captioned = run.Progress.Captioned, Failed = index.FailedCount,
            },
            replace: true).Write(files.Provenance);
    }

    /// <summary>Puts the results of all shards of a job together: into one file of captions, and if wanted one in ImageCLEF's form.</summary>
    /// <param name="shards">The shards' files of captions, each with its provenance beside it, in any order.</param>
    /// <param name="options">Where the whole goes, and what is checked.</param>
    /// <param name="cancellationToken">Stops the merge; nothing is left half done.</param>
    /// <returns>What was put together.</returns>
    /// <exception cref="CaptionMergeException">A shard is missing or there twice, or an id is missing, there twice, or not the data set's.</exception>
    /// <exception cref="CaptionJobChangedException">The shards were not made with the same model, prompt, precision, options and data set.</exception>
    /// <exception cref="CaptionJobException">A file cannot be read or written, or a shard is being written.</exception>
    /// <exception cref="DatasetException">The data set cannot be read.</exception>
    public static Task<CaptionJobReport> MergeAsync(
        IReadOnlyList<string> shards, CaptionMergeOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(shards);
        ArgumentNullException.ThrowIfNull(options);
        return CaptionMerge.RunAsync(shards, options, cancellationToken);
    }

    /// <summary>What the captioner says of itself; a registered one is loaded first, since only then it knows.</summary>
    async Task<CaptionerMetadata> DescribeCaptionerAsync(CancellationToken cancellationToken)
    {
        await LazyMedicalCaptioner.LoadBehindAsync(_captioner, cancellationToken).ConfigureAwait(false);
        return _captioner.GetService<CaptionerMetadata>() ?? new CaptionerMetadata(
            _captioner.GetService<ChatClientMetadata>()?.DefaultModelId ?? _captioner.GetType().Name, Precision.Auto, CaptionOptions.DefaultPrompt);
    }

    /// <summary>Compares what the output was begun with and writes down that a run begins.</summary>
    static JobProvenance Begin(JobFiles files, JobProvenance now, JobRun run)
    {
        var before = JobProvenance.Read(files.Provenance);
        if (before is null && new FileInfo(files.Output) is { Exists: true, Length: > 0 })
            throw new CaptionJobException(
                $"{files.Name} is there, but not {Path.GetFileName(files.Provenance)}, which would tell what it was made with. Give another output file, or restore that one.");
        if (before is not null && (before.Fingerprint != now.Fingerprint || before.Shard != now.Shard) && before.DifferencesTo(now) is { Count: > 0 } differences)
            throw new CaptionJobChangedException(
                $"{files.Name} was begun with something else, and captions are not mixed: {string.Join("; ", differences)}. Go on with what it was, or give another "
                + "output file.", differences);

        var begun = (now with { Runs = before?.Runs ?? [] }).With(run, replace: false);
        try
        {
            begun.Write(files.Provenance);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CaptionJobException($"The folder of {files.Name} cannot be written. {e.Message}", e);
        }
        return begun;
    }

    static LineFile OpenCaptions(JobFiles files, DatasetIndex index)
    {
        long number = 0;
        return LineFile.Open(files.Output, line =>
        {
            number++;
            if (JobLines.ReadCaption(line) is not var (id, _))
                return false;
            return index.AddCaption(id) ? true : throw new CaptionJobException(
                $"{files.Name}: line {number} has an id that an earlier line has, or that is not in the data set. The file was changed by something else than a job: "
                + "restore it, or give another output file.");
        });
    }

    JobRun RunOf(CaptionerMetadata model) => new()
    {
        Started = _time.GetUtcNow(),
        Sdk = typeof(CaptionJob).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown",
        Runtime = model.Runtime,
        Device = model.Device,
        Os = RuntimeInformation.OSDescription,
    };

    /// <summary>One run: passes over the data set, until none leaves a failure that may be tried again.</summary>
    sealed class Run(CaptionJob job, CaptionOptions options, DatasetIndex index, LineFile captions, JobFailures failures, JobProgress progress)
    {
        readonly ArrayBufferWriter<byte> _buffer = new();
        readonly CaptionJobRetry _retry = job._options.Retry;
        long _flushed = job._time.GetTimestamp();

        public JobProgress Progress => progress;

        public async Task ToTheEndAsync(CancellationToken cancellationToken)
        {
            progress.Report();
            for (bool again = true; again;)
            {
                again = false;
                index.BeginPass();
                await foreach (var result in job._captioner.CaptionBatchAsync(Requests(cancellationToken), cancellationToken).ConfigureAwait(false))
                    again |= Keep(result);
            }
            progress.Report();
        }

        async IAsyncEnumerable<CaptionRequest> Requests([EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await foreach (var item in job._dataset.ReadAsync(id => index.Take(id, _retry.MaxAttempts), cancellationToken).ConfigureAwait(false))
                yield return new CaptionRequest(item.Image.Keyed())
                {
                    Id = item.Id, Options = item.Prompt is null ? options : options with { Prompt = item.Prompt },
                };
        }

        /// <summary>Writes a result down.</summary>
        /// <returns>Whether it failed and may be tried again.</returns>
        bool Keep(CaptionResult result)
        {
            var id = result.Request.Id;
            bool again = false;
            if (result.Caption is { } caption)
            {
                failures.CaptionCame();
                if (!index.AddCaption(id))
                    throw new CaptionJobException("The captioner gave a result for a request twice, or for one that was not made.");
                captions.Append(JobLines.Caption(_buffer, id, caption, result.Request.Images[0].ContentKey));
            }
            else
            {
                var error = result.Error!;
                bool damaged = JobFailures.IsDamage(error);
                int attempts = failures.Add(id, error, index.Attempts(id));
                index.SetAttempts(id, damaged ? int.MaxValue : attempts);
                again = !damaged && attempts < _retry.MaxAttempts;
                if (!damaged && failures.InARow >= _retry.MaxFailuresInARow)
                    throw new CaptionJobException(
                        $"The last {failures.InARow} images failed, and none by its own fault: {error.GetType().Name}: {error.Message} The job was ended; start it again when the cause is gone.",
                        error);
            }

            progress.Add(result.Caption);
            if (job._time.GetElapsedTime(_flushed) >= job._options.FlushInterval)
            {
                captions.Flush();
                failures.Flush();
                _flushed = job._time.GetTimestamp();
            }
            return again;
        }
    }
}
