using System.Runtime.CompilerServices;

namespace MedVlm.Tests;

/// <summary>Where the tests find their files.</summary>
internal static class TestFolders
{
    /// <summary>Another folder in the layout of tests/goldens, whose cases then run in place of ours.</summary>
    public const string GoldensVariable = "MEDVLM_GOLDENS";

    /// <summary>Top of the checkout: the folder that holds MedVlm.Sdk.sln.</summary>
    public static string Repository { get; } = FindRepository();

    /// <summary>tests/goldens, or the folder that MEDVLM_GOLDENS names.</summary>
    public static string Goldens { get; } =
        Environment.GetEnvironmentVariable(GoldensVariable) is { Length: > 0 } other
            ? Path.GetFullPath(other)
            : Path.Combine(Repository, "tests", "goldens");

    /// <summary>The checkpoint of the embedded TinyModel.</summary>
    public static string TinyModel { get; } = Path.Combine(Repository, "src", "MedVlm.Sdk.TinyModel", "model");

    /// <summary>Our own drawn images and their reference captions.</summary>
    public static string Phantoms { get; } = Path.Combine(Repository, "samples", "images");

    /// <summary>Third-party data beside the checkout, which is never committed; null where it is not there.</summary>
    public static string? Shared(params string[] path)
    {
        var full = Path.Combine([Repository, "..", "shared", .. path]);
        return Path.Exists(full) ? Path.GetFullPath(full) : null;
    }

    /// <summary>Quantised weights of the tests stay out of the user's cache.</summary>
    [ModuleInitializer]
    internal static void SetCache()
    {
        if (Environment.GetEnvironmentVariable("MEDVLM_CACHE") is null)
            Environment.SetEnvironmentVariable("MEDVLM_CACHE", Path.Combine(AppContext.BaseDirectory, "cache"));
    }

    static string FindRepository([CallerFilePath] string thisFile = "")
    {
        for (var folder = new DirectoryInfo(Path.GetDirectoryName(thisFile)!); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "MedVlm.Sdk.sln")))
                return folder.FullName;

        // Deterministic builds map source paths: go up from where the test runs instead.
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "MedVlm.Sdk.sln")))
                return folder.FullName;

        throw new DirectoryNotFoundException("No folder above the tests holds MedVlm.Sdk.sln.");
    }
}
