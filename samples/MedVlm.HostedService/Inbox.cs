using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace MedVlm.HostedServiceSample;

/// <summary>
/// A folder of images that wait for captions. An image is taken when it is complete, stays where it is while it is captioned, and leaves
/// only after its caption, or its error, is on disk: whenever the process ends, nothing is lost, and nothing is captioned twice.
/// </summary>
/// <remarks>
/// The steps for an image: caption file written, flushed and renamed; image moved. After a crash between the two, the caption file holds
/// the key of the image's content, so that the image is recognised and only moved. One process for each inbox.
/// <see cref="ReadAllAsync"/> and <see cref="CompleteAsync"/> may run at the same time, each once.
/// </remarks>
internal sealed class Inbox(
    IOptions<InboxOptions> options, IOptions<MedicalCaptionerOptions> captionerOptions, TimeProvider time, ILogger<Inbox> logger)
{
    readonly InboxOptions _options = options.Value;
    readonly InboxPaths _paths = new(options.Value.Folder, options.Value.Outbox);
    readonly int _maxBytes = captionerOptions.Value.ImageLimits.MaxBytes;

    /// <summary>What was there at the last poll.</summary>
    Dictionary<string, FileState> _seen = [];

    /// <summary>What is being captioned, by name.</summary>
    readonly ConcurrentDictionary<string, Taken> _taken = [];

    /// <summary>Attempts that failed so far, by name.</summary>
    readonly ConcurrentDictionary<string, int> _attempts = [];

    /// <summary>The images that failed since the last caption, and none by its own fault.</summary>
    readonly HashSet<string> _failedInARow = [];

    /// <summary>Held while a file's place is chosen and taken, so that no two images get the same.</summary>
    readonly Lock _places = new();

    /// <summary>The images as requests, for ever: those that are there, and then each one that comes.</summary>
    public async IAsyncEnumerable<CaptionRequest> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        _paths.Create();
        while (true)
        {
            await foreach (var request in PollAsync(cancellationToken))
                yield return request;
            await Task.Delay(_options.PollInterval, time, cancellationToken);
        }
    }

    /// <summary>Looks into the inbox once: takes the images that are as they were at the last look, so that no copy is half done.</summary>
    public async IAsyncEnumerable<CaptionRequest> PollAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var before = _seen;
        _seen = Look();
        foreach (var (name, state) in _seen)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!_taken.ContainsKey(name) && before.TryGetValue(name, out var earlier) && earlier == state
                && await TakeAsync(name, state, cancellationToken) is { } request)
                yield return request;
        }
    }

    /// <summary>Puts a caption into the outbox and its image away, or a failed image into the folder "failed".</summary>
    /// <param name="result">The result of a request that this inbox gave.</param>
    /// <param name="cancellationToken">Ends only the wait for an outbox that cannot be written; what is begun is finished.</param>
    /// <exception cref="Exception">
    /// The model cannot run, or one image after another failed and none by its own fault: the image stays in the inbox. The error is the image's.
    /// </exception>
    /// <exception cref="IOException">The outbox cannot be written, however often it is tried: the image stays in the inbox.</exception>
    public async Task CompleteAsync(CaptionResult result, CancellationToken cancellationToken)
    {
        var name = result.Request.Id;
        var taken = _taken[name];
        try
        {
            if (FileState.Of(_paths.Image(name)) != taken.State)
                return;   // replaced or withdrawn meanwhile: this caption is of something else, the next polls see what is there now

            if (result.Caption is { } caption)
            {
                _failedInARow.Clear();
                int number = await WriteAsync(CaptionFile.Of(caption, name, taken.Sha256, time.GetUtcNow()), taken, cancellationToken);
                LogMessages.Captioned(logger, Key(taken.Sha256), caption.TokenIds.Count, caption.Timings.Total.TotalMilliseconds);
                PutAway(name, number);
            }
            else if (result.Error is ImageException damaged)
                Fail(name, taken.Sha256, damaged);
            else
            {
                // An engine that has ended fails every caption, with an error that a single caption may have too.
                _failedInARow.Add(name);
                if (CannotRun(result.Error!) || _failedInARow.Count >= _options.MaxFailuresInARow)
                    ExceptionDispatchInfo.Throw(result.Error!);
                RetryOrFail(name, taken.Sha256, result.Error!);
            }
        }
        finally
        {
            _taken.TryRemove(name, out _);
        }
    }

    /// <summary>Whether an error says that the model runs for no image. Memory that has a plan is what a load asks for; a caption's has none.</summary>
    static bool CannotRun(Exception error) => error
        is CheckpointException or ModelNotFoundException or UnsupportedModelException or NativeRuntimeException or InsufficientMemoryException { Plan: not null };

    Dictionary<string, FileState> Look()
    {
        try
        {
            return _paths.Waiting().ToDictionary(waiting => waiting.Name, waiting => new FileState(waiting.File.Length, waiting.File.LastWriteTimeUtc));
        }
        catch (Exception e) when (IsIO(e))
        {
            // A share that is away for a while, or a file that went while it was looked at.
            LogMessages.CannotRead(logger, e.GetType().Name);
            return [];
        }
    }

    /// <summary>The request for an image; null if it is not complete yet, gone, failed, or captioned already.</summary>
    async Task<CaptionRequest?> TakeAsync(string name, FileState state, CancellationToken cancellationToken)
    {
        if (OpenAlone(name, state) is not { } stream)
            return null;

        string sha256 = "";
        try
        {
            byte[] bytes = [];
            ImageException? fault;
            await using (stream)
            {
                fault = !stream.CanSeek ? new ImageException("It is no file, but a pipe or a device.")
                    : stream.Length > _maxBytes ? new ImageException($"The file has {stream.Length} bytes, MedVlm:ImageLimits:MaxBytes allows {_maxBytes}.")
                    : null;
                if (fault is null)
                {
                    bytes = new byte[stream.Length];
                    await stream.ReadExactlyAsync(bytes, cancellationToken);
                }
            }

            // Only now that it is closed: Windows moves no file that is open.
            if (fault is not null)
            {
                Fail(name, sha256, fault);
                return null;
            }

            if (FileState.Of(_paths.Image(name)) != state)
                return null;

            sha256 = Convert.ToHexStringLower(SHA256.HashData(bytes));
            var (number, captioned) = Place(new Taken(name, state, sha256));
            if (captioned)
            {
                LogMessages.Recognised(logger, Key(sha256));
                PutAway(name, number);
                return null;
            }

            return new CaptionRequest(MedicalImage.FromBytes(bytes)) { Id = name };
        }
        catch (Exception e) when (IsIO(e))
        {
            RetryOrFail(name, sha256, e);
            return null;
        }
    }

    /// <summary>Opens an image that nobody else has open; null if somebody has (who may still write it), or it is gone.</summary>
    FileStream? OpenAlone(string name, FileState state)
    {
        try
        {
            // What has no length may be a named pipe: opened to be read, it would wait for a writer, for ever; for both it does not.
            return new FileStream(_paths.Image(name), FileMode.Open, state.Length == 0 ? FileAccess.ReadWrite : FileAccess.Read, FileShare.None);
        }
        catch (UnauthorizedAccessException) when (state.Length == 0)
        {
            Fail(name, "", new ImageException("It is empty, or no file."));
            return null;
        }
        catch (UnauthorizedAccessException e)
        {
            RetryOrFail(name, "", e);
            return null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>
    /// Which caption file is this image's: that of the same content, else the next that neither is there nor is kept for another image. It is
    /// kept for this one while it is captioned.
    /// </summary>
    (int Number, bool Captioned) Place(Taken image)
    {
        lock (_places)
        {
            for (int number = 1; ; number++)
            {
                var path = _paths.Caption(image.Name, number);
                if (CaptionFile.Read(path) is { } file && file.Sha256 == image.Sha256 && file.Id == image.Name)
                    return (number, true);
                if (File.Exists(path) || IsKept(path, image.Name))
                    continue;

                _taken[image.Name] = image with { Number = number };
                return (number, false);
            }
        }
    }

    /// <summary>Whether a caption file is another image's that is being captioned. (Letter case tells no files apart on Windows and macOS.)</summary>
    bool IsKept(string path, string name) => _taken.Values.Any(
        other => other.Name != name && path.Equals(_paths.Caption(other.Name, other.Number), StringComparison.OrdinalIgnoreCase));

    /// <summary>Writes a caption to the place that is kept for it; where a file that is not ours has come meanwhile, to the next.</summary>
    /// <returns>The number of the caption file.</returns>
    async Task<int> WriteAsync(CaptionFile file, Taken image, CancellationToken cancellationToken)
    {
        var place = (image.Number, Captioned: false);
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                while (!place.Captioned && !file.TryWrite(_paths.Caption(image.Name, place.Number)))
                    place = Place(image);
                return place.Number;
            }
            catch (Exception e) when (IsIO(e) && attempt < _options.MaxAttempts)
            {
                LogMessages.OutboxRetry(logger, e.GetType().Name, attempt, _options.MaxAttempts);
                await Task.Delay(_options.PollInterval, time, cancellationToken);
            }
        }
    }

    /// <summary>Moves or deletes an image whose caption is on disk. If that fails, the next poll recognises it and tries again.</summary>
    void PutAway(string name, int number)
    {
        _attempts.TryRemove(name, out _);
        try
        {
            if (_options.WhenDone == WhenDone.Delete)
                File.Delete(_paths.Image(name));
            else
                Move(_paths.Image(name), Free(number => _paths.Done(name, number), from: number));
        }
        catch (Exception e) when (IsIO(e))
        {
            LogMessages.CannotMove(logger, e.GetType().Name);
        }
    }

    void RetryOrFail(string name, string sha256, Exception error)
    {
        int attempt = _attempts.AddOrUpdate(name, 1, (_, earlier) => earlier + 1);
        if (attempt < _options.MaxAttempts)
            LogMessages.WillRetry(logger, Key(sha256), error.GetType().Name, attempt, _options.MaxAttempts);
        else
            Fail(name, sha256, error);
    }

    /// <summary>Moves an image to the folder "failed", after what is wrong with it is written there.</summary>
    void Fail(string name, string sha256, Exception error)
    {
        _attempts.TryRemove(name, out _);
        try
        {
            lock (_places)
            {
                var failed = Free(number => _paths.Failed(name, number), from: 1);
                new CaptionFile(name, sha256, time.GetUtcNow(), Error: error.Message).Write(InboxPaths.Error(failed));
                Move(_paths.Image(name), failed);
            }

            LogMessages.Failed(logger, Key(sha256), error.GetType().Name);
        }
        catch (Exception e) when (IsIO(e))
        {
            LogMessages.CannotMove(logger, e.GetType().Name);
        }
    }

    static string Free(Func<int, string> path, int from)
    {
        while (File.Exists(path(from)))
            from++;
        return path(from);
    }

    static void Move(string from, string to)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(to)!);
        File.Move(from, to);
    }

    static bool IsIO(Exception e) => e is IOException or UnauthorizedAccessException;

    /// <summary>The short form of a content key, for the log.</summary>
    static string Key(string sha256) => sha256 is "" ? "(unread)" : sha256[..12];

    /// <summary>By what a file is known to be still the same.</summary>
    readonly record struct FileState(long Length, DateTime LastWrite)
    {
        public static FileState? Of(string path) => new FileInfo(path) is { Exists: true } file ? new(file.Length, file.LastWriteTimeUtc) : null;
    }

    /// <param name="Name">Its path below the inbox.</param>
    /// <param name="State">The file as it was taken.</param>
    /// <param name="Sha256">Key of its content.</param>
    /// <param name="Number">Which image by this name it is, 1 for the first.</param>
    sealed record Taken(string Name, FileState State, string Sha256, int Number = 0);
}
