using System.Runtime.InteropServices;

namespace MedVlm.Tests.Checkpoints;

/// <summary>A folder of its own for one test, deleted after it. Its name has a space and letters beyond ASCII.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public TemporaryFolder() => Directory.CreateDirectory(Path);

    public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"Rö 胸部 {Guid.NewGuid():N}");

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string Write(string name, byte[] content)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(File(name))!);
        System.IO.File.WriteAllBytes(File(name), content);
        return File(name);
    }

    public string Write(string name, string content) => Write(name, System.Text.Encoding.UTF8.GetBytes(content));

    /// <summary>Makes a named pipe, which blocks who opens it as a file.</summary>
    public string MakePipe(string name)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() || OperatingSystem.IsMacOS(), "Windows has no pipes in folders.");
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(File(name))!);
        Assert.Equal(0, MakeFifo(File(name), 0x180));
        return File(name);
    }

    [DllImport("libc", EntryPoint = "mkfifo")]
    static extern int MakeFifo(string path, uint mode);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
