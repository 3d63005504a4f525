using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
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
/// <see cref="ReadAllAsync"/> and <see cref="CompleteAsync"/> may run at the same time.
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
    /// <exception cref="MedVlmException">The model cannot run, which is not the image's fault: it stays in the inbox.</exception>
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
                await WriteAsync(CaptionFile.Of(caption, name, taken.Sha256, time.GetUtcNow()), _paths.Caption(name, taken.Number), cancellationToken);
                LogMessages.Captioned(logger, Key(taken.Sha256), caption.TokenIds.Count, caption.Timings.Total.TotalMilliseconds);
                PutAway(name, taken.Number);
            }
            else if (result.Error is ImageException damaged)
                Fail(name, taken.Sha256, damaged);
            else if (result.Error is MedVlmException model)
                throw model;
            else
                RetryOrFail(name, taken.Sha256, result.Error!);
        }
        finally
        {
            _taken.TryRemove(name, out _);
        }
    }

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
        if (OpenAlone(name) is not { } stream)
            return null;

        byte[] bytes;
        string sha256 = "";
        try
        {
            await using (stream)
            {
                if (stream.Length > _maxBytes)
                {
                    Fail(name, sha256, new ImageException($"The file has {stream.Length} bytes, MedVlm:ImageLimits:MaxBytes allows {_maxBytes}."));
                    return null;
                }

                bytes = new byte[stream.Length];
                await stream.ReadExactlyAsync(bytes, cancellationToken);
            }

            if (FileState.Of(_paths.Image(name)) != state)
                return null;

            sha256 = Convert.ToHexStringLower(SHA256.HashData(bytes));
            var (number, captioned) = Place(name, sha256);
            if (captioned)
            {
                LogMessages.Recognised(logger, Key(sha256));
                PutAway(name, number);
                return null;
            }

            _taken[name] = new Taken(state, sha256, number);
            return new CaptionRequest(MedicalImage.FromBytes(bytes)) { Id = name };
        }
        catch (Exception e) when (IsIO(e))
        {
            RetryOrFail(name, sha256, e);
            return null;
        }
    }

    /// <summary>Opens an image that nobody else has open; null if somebody has (who may still write it), or it is gone.</summary>
    FileStream? OpenAlone(string name)
    {
        try
        {
            return new FileStream(_paths.Image(name), FileMode.Open, FileAccess.Read, FileShare.None);
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

    /// <summary>Which caption file is this image's: that of the same content, else the next free one.</summary>
    (int Number, bool Captioned) Place(string name, string sha256)
    {
        for (int number = 1; ; number++)
        {
            var path = _paths.Caption(name, number);
            if (!File.Exists(path))
                return (number, false);
            if (CaptionFile.Read(path) is { } file && file.Sha256 == sha256 && file.Id == name)
                return (number, true);
        }
    }

    async Task WriteAsync(CaptionFile file, string path, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                file.Write(path);
                return;
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
            var failed = Free(number => _paths.Failed(name, number), from: 1);
            new CaptionFile(name, sha256, time.GetUtcNow(), Error: error.Message).Write(InboxPaths.Error(failed));
            Move(_paths.Image(name), failed);
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

    /// <param name="State">The file as it was taken.</param>
    /// <param name="Sha256">Key of its content.</param>
    /// <param name="Number">Which image by this name it is, 1 for the first.</param>
    sealed record Taken(FileState State, string Sha256, int Number);
}
