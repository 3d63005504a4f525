using System.Buffers;

namespace MedVlm.Checkpoints;

/// <summary>Which file names a checkpoint may name: those of files in its own folder, on every operating system alike.</summary>
internal static class FileNames
{
    static readonly SearchValues<char> Forbidden = SearchValues.Create("/\\:*?\"<>|");
    static readonly HashSet<string> Devices = new(
        ["CON", "PRN", "AUX", "NUL", .. Enumerable.Range(0, 10).SelectMany(n => new[] { $"COM{n}", $"LPT{n}" })],
        StringComparer.OrdinalIgnoreCase);

    /// <summary>Whether the name stays in the folder that it is combined with. Checked as written, before links are followed:
    /// the files of the hub cache are links out of it.</summary>
    public static bool IsPlain(string name) =>
        name.Length is > 0 and <= 255
        && name is not ("." or "..")
        && !name.AsSpan().ContainsAny(Forbidden)
        && !name.Any(char.IsControl)
        && name[^1] is not ('.' or ' ')      // Windows drops them, and would open another file
        && !IsDevice(name);

    /// <summary>Whether the path is a file that is there. File.Exists alone is true for a link whose target is gone,
    /// as a broken-off download leaves it in the hub cache.</summary>
    public static bool Exists(string path)
    {
        try
        {
            return File.Exists(RealPath.Of(path));
        }
        catch (IOException)   // links in a circle
        {
            return false;
        }
    }

    // NUL.safetensors is the device NUL on Windows.
    static bool IsDevice(string name) => Devices.Contains(name.Split('.')[0].TrimEnd(' '));
}
