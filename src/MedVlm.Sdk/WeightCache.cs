using System.Globalization;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;

namespace MedVlm;

/// <summary>
/// The quantised weights that were kept on disk, so that a model is quantised once. A model that is loaded in <see cref="Precision.Int8"/> or
/// <see cref="Precision.Int4"/> leaves a file here, which may be deleted when no load is under way: the next one makes it again.
/// </summary>
/// <remarks>Thread-safe, and safe beside other processes that use the same folder.</remarks>
public static class WeightCache
{
    /// <summary>The folder: that of the environment variable MEDVLM_CACHE, else "medvlm" in the user's cache folder. It need not exist.</summary>
    public static string Folder => Cache().Folder;

    /// <summary>The quantised weights that the cache holds. Files that are damaged are left out: the next load that wants them replaces them.</summary>
    /// <exception cref="IOException">The folder cannot be read, or is a file.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder must not be read.</exception>
    public static IReadOnlyList<CachedWeights> List() => List(Cache());

    internal static IReadOnlyList<CachedWeights> List(QuantisedCache cache) => Entries(cache, (file, weights, model) =>
        Enum.TryParse<Precision>(weights.Metadata.GetValueOrDefault(QuantisedCache.Scheme)?.Split('-')[0], ignoreCase: true, out var precision)   // "int8", "int8-cuda"
            ? new CachedWeights(file.FullName, model, precision, weights.FileLength, file.LastWriteTimeUtc)
            : null);

    /// <summary>The calibrations that the cache holds, which later loads quantise by. Files that are damaged are left out.</summary>
    /// <exception cref="IOException">The folder cannot be read, or is a file.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder must not be read.</exception>
    public static IReadOnlyList<CachedCalibration> ListCalibrations() => Entries(Cache(), (file, calibration, model) =>
        int.TryParse(calibration.Metadata.GetValueOrDefault(QuantisedCache.CalibrationImages), CultureInfo.InvariantCulture, out int images)
        && CalibrationData.IsWhole(calibration)
            ? new CachedCalibration(file.FullName, model, images, calibration.FileLength, file.LastWriteTimeUtc)
            : null);

    /// <summary>Deletes all of it, calibrations too, but for files that a captioner is using, here or in another process. Other files in the folder stay.</summary>
    /// <returns>Bytes that are free now.</returns>
    /// <exception cref="IOException">The folder cannot be read, or is a file.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder must not be read.</exception>
    public static long Clear() => Cache().Clear();

    /// <summary>What a function makes of each file that can be read and names its model; null leaves it out.</summary>
    static List<T> Entries<T>(QuantisedCache cache, Func<FileInfo, SafetensorsFile, string, T?> make) where T : class
    {
        var entries = new List<T>();
        foreach (var file in cache.Files())
            try
            {
                using var content = SafetensorsFile.Open(file.FullName);
                if (content.Metadata.TryGetValue(QuantisedCache.Model, out var model) && make(file, content, model) is { } entry)
                    entries.Add(entry);
            }
            catch (CheckpointException)
            {
                // Damaged, or deleted meanwhile.
            }
        return entries;
    }

    static QuantisedCache Cache() => QuantisedCache.FromEnvironment(Environment.GetEnvironmentVariable);
}

/// <summary>Quantised weights in the cache.</summary>
/// <param name="File">Path of the file.</param>
/// <param name="Model">Folder of the checkpoint that they were made from; another with the same content uses them too.</param>
/// <param name="Precision">Their precision.</param>
/// <param name="Bytes">Size of the file.</param>
/// <param name="Created">When they were made, in UTC.</param>
public sealed record CachedWeights(string File, string Model, Precision Precision, long Bytes, DateTimeOffset Created);

/// <summary>A calibration in the cache: see <see cref="MedicalCaptioner.CalibrateAsync(MedicalCaptionerOptions, IEnumerable{MedicalImage}, IProgress{int}?, CancellationToken)"/>.</summary>
/// <param name="File">Path of the file.</param>
/// <param name="Model">Folder of the checkpoint that it was made for; another with the same content uses it too.</param>
/// <param name="Images">Images that it was made on.</param>
/// <param name="Bytes">Size of the file.</param>
/// <param name="Created">When it was made, in UTC.</param>
public sealed record CachedCalibration(string File, string Model, int Images, long Bytes, DateTimeOffset Created);
