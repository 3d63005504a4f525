using System.Text;

namespace MedVlm.HostedServiceSample;

/// <summary>Which file lies where, and what it is called.</summary>
internal sealed class InboxPaths(string inbox, string outbox)
{
    const string DoneFolder = "done", FailedFolder = "failed";

    /// <summary>File systems allow 255 bytes; the rest is for what is put behind a name.</summary>
    const int MaxNameBytes = 200;

    // Not hidden files, which other programs keep beside images, and no links, which may lead anywhere.
    static readonly EnumerationOptions s_search = new()
    {
        RecurseSubdirectories = true, IgnoreInaccessible = true, AttributesToSkip = FileAttributes.Hidden | FileAttributes.System | FileAttributes.ReparsePoint,
    };

    readonly string _inbox = Path.GetFullPath(inbox), _outbox = Path.GetFullPath(outbox);

    /// <summary>Makes the folders.</summary>
    public void Create()
    {
        Directory.CreateDirectory(_inbox);
        Directory.CreateDirectory(_outbox);
    }

    /// <summary>The images that wait, by their paths below the inbox, with <c>/</c>, in ordinal order.</summary>
    public IEnumerable<(string Name, FileInfo File)> Waiting() =>
        new DirectoryInfo(_inbox).EnumerateFiles("*", s_search)
            .Where(file => MedicalImage.IsImageFile(file.Name))
            .Select(file => (Name: Path.GetRelativePath(_inbox, file.FullName).Replace(Path.DirectorySeparatorChar, '/'), file))
            .Where(waiting => !IsBelow(DoneFolder, waiting.Name) && !IsBelow(FailedFolder, waiting.Name))
            .OrderBy(waiting => waiting.Name, StringComparer.Ordinal);

    public string Image(string name) => Path.Combine(_inbox, name);

    /// <summary>The caption file of the <paramref name="number"/>th image that came by this name.</summary>
    public string Caption(string name, int number) => Path.Combine(_outbox, Numbered(name, number) + ".json");

    public string Done(string name, int number) => Path.Combine(_inbox, DoneFolder, Numbered(name, number));

    public string Failed(string name, int number) => Path.Combine(_inbox, FailedFolder, Numbered(name, number));

    /// <summary>What lies beside a failed image.</summary>
    public static string Error(string failedImage) => failedImage + ".error.json";

    static bool IsBelow(string folder, string name) => name.StartsWith(folder + "/", StringComparison.OrdinalIgnoreCase);

    /// <summary>"a/x.png", "a/x (2).png", …; a name near the file system's limit is cut, so that there is room for ".error.json.tmp".</summary>
    static string Numbered(string name, int number)
    {
        var (folder, stem, ending) = (Path.GetDirectoryName(name)!, Path.GetFileNameWithoutExtension(name), Path.GetExtension(name));
        while (Encoding.UTF8.GetByteCount(stem) + Encoding.UTF8.GetByteCount(ending) > MaxNameBytes && stem.Length > 1)
            stem = stem[..^(char.IsLowSurrogate(stem[^1]) ? 2 : 1)];
        return Path.Combine(folder, number == 1 ? stem + ending : $"{stem} ({number}){ending}");
    }
}
