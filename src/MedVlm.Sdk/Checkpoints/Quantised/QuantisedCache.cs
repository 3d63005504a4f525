using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>
/// Quantised weights on disk, so that they are made once: a file for each content and scheme, in one folder. A file appears there under
/// its name only when it is whole, whatever happens before: it is written under another name, flushed to the disk and renamed.
/// </summary>
/// <remarks>
/// A file's name is a hash over the content of the checkpoint's files (and the adapter's), the scheme, the names and shapes of all
/// tensors, and what a calibration adds to them. A calibration lies beside them, under a name made in the same way. The content of a file is hashed
/// once; the result is kept under its path, size and time of change, as build systems do. That holds for the checkpoint's files, and for the cache's own, which are compared with their checksum at each load.
/// Several processes may do the same at once: each writes a file of its own, and the last to be renamed stays.
/// </remarks>
internal sealed class QuantisedCache(string folder)
{
    /// <summary>Environment variable that names another folder.</summary>
    public const string Variable = "MEDVLM_CACHE";

    /// <summary>Keys of a file's metadata.</summary>
    public const string Model = "model", Scheme = "scheme", OutOfRange = "beyond_float16", Calibration = "calibration", CalibrationImages = "calibration_images", CalibrationContent = "content";

    // Raised with every change of the numbers or of the layout.
    const string Version = "3";

    const string CalibrationScheme = "calibration", CalibrationVersion = "1", CalibrationEnding = $"-{CalibrationScheme}-v{CalibrationVersion}{CacheFolder.Extension}";

    // How often a file is made that is damaged or gone as soon as it is there.
    const int Attempts = 2;

    // How often one that cannot be opened is tried.
    const int Tries = 4;

    // A second together with the moments between them.
    const int MoveTries = 50;

    static readonly TimeSpan s_moment = TimeSpan.FromMilliseconds(20);

    CacheFolder? _content;

    /// <summary>The cache's folder, which need not exist.</summary>
    public string Folder { get; } = folder;

    /// <summary>Creates the file that a new one is written to; another one in tests of a full disk.</summary>
    public Func<string, FileStream> CreateFile { get; init; } = path =>
        new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);

    CacheFolder Content => _content ??= new CacheFolder(Folder, CreateFile);

    /// <summary>The cache under these environment variables: MEDVLM_CACHE, else "medvlm" in the user's cache folder, beside the hub's.</summary>
    public static QuantisedCache FromEnvironment(Func<string, string?> variable) => new(Path.GetFullPath(
        variable(Variable) is { Length: > 0 } set ? HubCache.Expand(set, variable) : Path.Combine(HubCache.UserCacheFolder(variable), "medvlm")));

    /// <summary>Opens the quantised weights, and makes them first where they are not there or are damaged.</summary>
    /// <param name="scheme">Name of the scheme, part of the file's name.</param>
    /// <param name="tensors">The tensors.</param>
    /// <param name="model">What the weights are of, for whoever lists the cache.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="calibration">Hash of the calibration that bears on them; null for none.</param>
    /// <returns>The file, and what was wrong with the one that it replaces; null for nothing.</returns>
    /// <exception cref="IOException">The folder cannot be written, or a file of it not be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder must not be written, or a file of it not be read.</exception>
    /// <exception cref="CheckpointException">The weights cannot be quantised, or the checkpoint not be read.</exception>
    public (SafetensorsFile File, string? Fault) Open(
        string scheme, IReadOnlyList<QuantisedTensor> tensors, string model, CancellationToken cancellationToken, string? calibration = null)
    {
        Content.Create();
        Content.RemoveStale();
        var name = $"{Key(Version, scheme, tensors, cancellationToken)}-{scheme}-v{Version}{CacheFolder.Extension}";
        string? fault = null;
        for (int made = 0; ; made++)
        {
            var (file, damage) = TryOpen(Content.PathOf(name), tensors, cancellationToken);
            fault ??= damage;
            if (file is not null)
                return (file, fault);
            if (made == Attempts)
                throw new IOException($"{name} is {(damage is null ? "deleted" : "damaged")} as soon as it is written.{(damage is null ? "" : $" {damage}")}");

            var metadata = new Dictionary<string, string> { ["format"] = "medvlm-quantised", [Scheme] = scheme, [Model] = model };
            if (Float16Numbers.Report(tensors, cancellationToken) is { } report)
                metadata[OutOfRange] = report;
            if (calibration is not null)
                metadata[Calibration] = calibration;
            Content.Write(name, stream => QuantisedFile.Write(stream, tensors, metadata, cancellationToken), MoveSame);
        }
    }

    /// <inheritdoc cref="CacheFolder.RequireWritable"/>
    public void RequireWritable() => Content.RequireWritable();

    /// <summary>Why nothing can be kept in the folder, by a file that is made there and deleted; null where it can be, or there is no folder yet.</summary>
    public string? Problem()
    {
        try
        {
            if (Directory.Exists(Folder) || File.Exists(Folder))
                RequireWritable();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"New quantised weights cannot be kept, and are made again at each load in INT8 and INT4: {e.Message}";
        }
    }

    /// <summary>
    /// Keeps a calibration, in place of an earlier one of the same weights, and deletes what was quantised by that one, unless a captioner
    /// is using it.
    /// </summary>
    /// <param name="calibration">What is to be kept.</param>
    /// <param name="weights">The checkpoint's tensors, adapter included, as they are in floating point.</param>
    /// <param name="model">What it is of, for whoever lists the cache.</param>
    /// <param name="images">Images that it was made on.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>Path of the file.</returns>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder must not be written.</exception>
    public string WriteCalibration(CalibrationData calibration, IReadOnlyList<QuantisedTensor> weights, string model, int images, CancellationToken cancellationToken)
    {
        Content.Create();
        Content.RemoveStale();
        var name = CalibrationName(weights, cancellationToken);
        var path = Content.PathOf(name);
        var (content, former) = (calibration.Content(), Metadata(path, CalibrationContent));
        var metadata = new Dictionary<string, string>
        {
            ["format"] = "medvlm-calibration", [Model] = model, [CalibrationImages] = images.ToString(CultureInfo.InvariantCulture),
            [CalibrationContent] = content,
        };
        Content.Write(name, stream => QuantisedFile.Write(stream, calibration.ToVectors(), metadata, cancellationToken), MoveOverReaders);
        if (former is not null && former != content)
            foreach (var file in Files().Where(file => Metadata(file.FullName, Calibration) == former).ToList())
                CacheFolder.DeleteUnused(file.FullName);
        return path;
    }

    /// <summary>What a file says about itself under this key; null for nothing, and for no file that can be read.</summary>
    static string? Metadata(string path, string key)
    {
        try
        {
            using var file = SafetensorsFile.Open(path);
            return file.Metadata.GetValueOrDefault(key);
        }
        catch (CheckpointException)
        {
            return null;
        }
    }

    /// <summary>The calibration of these weights.</summary>
    /// <param name="weights">The checkpoint's tensors, adapter included, as they are in floating point.</param>
    /// <param name="fits">Whether a calibration is one for the graphs that are to be run.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The calibration, null where there is none to quantise by; and what is wrong with one that is there, null for nothing.</returns>
    public (CalibrationData? Calibration, string? Fault) ReadCalibration(
        IReadOnlyList<QuantisedTensor> weights, Func<CalibrationData, bool> fits, CancellationToken cancellationToken)
    {
        try
        {
            if (!Directory.Exists(Folder) || !Directory.EnumerateFiles(Folder, $"*{CalibrationEnding}").Any())
                return (null, null);   // without hashing the checkpoint

            var path = Content.PathOf(CalibrationName(weights, cancellationToken));
            return !File.Exists(path) ? (null, null)
                : TryReadCalibration(path, weights) is not { } calibration
                    ? (null, $"The calibration in {Fault.Quote(path)} is damaged, and the weights were quantised without it: calibrate again, or delete the file.")
                : !fits(calibration)
                    ? (null, $"The calibration in {Fault.Quote(path)} is for other graphs than those of this model now (config.json has changed, or this library), "
                        + "and the weights were quantised without it: calibrate again, or delete the file.")
                : (calibration, null);
        }
        catch (Exception e) when ((e is CheckpointException ? e.InnerException : e) is IOException or UnauthorizedAccessException)
        {
            return (null, $"The calibration could not be read, and the weights were quantised without it: {e.Message}");
        }
    }

    /// <returns>Null for a file that is damaged: names are as much of a calibration as numbers, so its content is compared rather than the file's data.</returns>
    static CalibrationData? TryReadCalibration(string path, IReadOnlyList<QuantisedTensor> weights)
    {
        try
        {
            using var file = SafetensorsFile.Open(path);
            return CalibrationData.Read(file, weights.ToDictionary(weight => weight.StoredName, weight => weight.Source)) is { } calibration
                && calibration.Content() == file.Metadata.GetValueOrDefault(CalibrationContent)
                    ? calibration
                    : null;
        }
        catch (CheckpointException e) when (e.InnerException is not (IOException or UnauthorizedAccessException))
        {
            return null;
        }
    }

    string CalibrationName(IReadOnlyList<QuantisedTensor> weights, CancellationToken cancellationToken) =>
        Key(CalibrationVersion, CalibrationScheme, weights, cancellationToken) + CalibrationEnding;

    /// <inheritdoc cref="CacheFolder.Files"/>
    public IEnumerable<FileInfo> Files() => Content.Files();

    /// <inheritdoc cref="CacheFolder.Clear"/>
    public long Clear() => Content.Clear();

    /// <returns>Nothing for a file that is not there, and what is wrong with one that is damaged.</returns>
    /// <exception cref="IOException">It cannot be read, though nothing shows that it is damaged.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be read.</exception>
    (SafetensorsFile? File, string? Damage) TryOpen(string path, IReadOnlyList<QuantisedTensor> tensors, CancellationToken cancellationToken)
    {
        for (int tries = 1; File.Exists(path); tries++)
            try
            {
                var file = QuantisedFile.Open(path, tensors, start => ContentOf(path, start, cancellationToken));
                if (File.Exists(path))
                    return (file, null);
                file.Dispose();   // deleted before it was held open
            }
            catch (CheckpointException e) when (e.InnerException is not (IOException or UnauthorizedAccessException))
            {
                return File.Exists(path) ? (null, e.Message) : (null, null);
            }
            catch (Exception e) when (tries < Tries && (e is IOException || e.InnerException is IOException))
            {
                // Somebody may be about to delete it, and holds it for that moment.
                cancellationToken.WaitHandle.WaitOne(s_moment);
                cancellationToken.ThrowIfCancellationRequested();
            }
            catch (CheckpointException e)
            {
                throw new IOException(e.Message, e);
            }
        return (null, null);
    }

    /// <summary>
    /// Puts a file in the place of a former one. Windows refuses that while somebody reads the former, which takes moments: a load elsewhere, or a list
    /// of the cache. What was measured in minutes is worth a second's wait.
    /// </summary>
    static void MoveOverReaders(string temporary, string path, bool overwrite)
    {
        for (int attempt = 1; ; attempt++)
            try
            {
                File.Move(temporary, path, overwrite);
                return;
            }
            catch (Exception e) when (attempt < MoveTries && e is IOException or UnauthorizedAccessException && File.Exists(path))
            {
                Thread.Sleep(s_moment);
            }
    }


    /// <summary>
    /// Puts a finished file in its place. Where another process has just put one of the same content there and is reading it, Windows refuses: then that
    /// one stays.
    /// </summary>
    static void MoveSame(string temporary, string path, bool overwrite)
    {
        try
        {
            File.Move(temporary, path, overwrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException && File.Exists(path))
        {
            CacheFolder.Delete(temporary);
        }
    }

    string Key(string version, string scheme, IReadOnlyList<QuantisedTensor> tensors, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Add(version);
        Add(scheme);
        var files = new Dictionary<SafetensorsFile, string>();
        foreach (var tensor in tensors)
        {
            Add(tensor.Name);
            Add($"{tensor.Part}");
            Add(string.Join(',', tensor.Shape));
            AddStored(tensor.Source);
            if (tensor.Delta is { } delta)
            {
                AddStored(delta.A);
                AddStored(delta.B);
                Add(delta.Scale.ToString("R", CultureInfo.InvariantCulture));
            }
            foreach (var norm in (StoredTensor?[])[tensor.Gain, tensor.Shift])
                if (norm is not null)
                    AddStored(norm);
            foreach (var (kind, values) in ((string, float[]?)[])[("columns", tensor.Columns), ("rows", tensor.Rows), ("mean squares", tensor.MeanSquares)])
                if (values is not null)
                {
                    Add(kind);
                    Add(Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<float>(values))));
                }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..32];

        void AddStored(StoredTensor stored)
        {
            if (!files.TryGetValue(stored.File, out var content))
                files.Add(stored.File, content = ContentOf(stored.File, cancellationToken));
            Add(content);
            Add(stored.Name);
        }

        void Add(string text)
        {
            // The length before each text: no two lists of texts give the same bytes.
            var bytes = Encoding.UTF8.GetBytes(text);
            Span<byte> length = stackalloc byte[sizeof(int)];
            BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
            hash.AppendData(length);
            hash.AppendData(bytes);
        }
    }

    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    string ContentOf(SafetensorsFile file, CancellationToken cancellationToken)
    {
        try
        {
            return ContentOf(file.ResolvedPath, 0, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{file.FileName}: the file cannot be read. {e.Message}", e);
        }
    }

    /// <summary>Hash of a file's content, taken from the last time where path, size and time of change are the same.</summary>
    /// <param name="path">The file itself, not a link to it.</param>
    /// <param name="start">Where the content begins that counts.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public string ContentOf(string path, long start, CancellationToken cancellationToken)
    {
        // Size and time of the file that is hashed, whatever takes its name meanwhile.
        using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        var identity = $"{Path.GetFullPath(path)}\n{RandomAccess.GetLength(handle)}\n{File.GetLastWriteTimeUtc(handle).Ticks}{(start == 0 ? "" : $"\n{start}")}";
        var known = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(identity)))[..32] + CacheFolder.HashExtension;
        if (ReadHash(Content.PathOf(known)) is { } content)
            return content;

        content = ContentHash.Of(handle, start, cancellationToken);
        WriteHash(known, content);
        return content;
    }

    static string? ReadHash(string path)
    {
        try
        {
            return File.Exists(path) && File.ReadAllText(path) is { Length: 64 } hash && hash.All(char.IsAsciiHexDigitLower) ? hash : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    void WriteHash(string name, string content)
    {
        try
        {
            Content.Create();
            Content.Write(name, stream => stream.Write(Encoding.ASCII.GetBytes(content)), File.Move);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then it is hashed again next time.
        }
    }
}
