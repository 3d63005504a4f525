using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace MedVlm.Checkpoints;

/// <summary>A safetensors file: its header checked and read, its tensors memory-mapped.</summary>
/// <remarks>Nothing in the file is trusted before it is checked, and no memory is taken by a number that the file states.
/// Reading tensors is safe from many threads; <see cref="Dispose"/> only after the last of them.
/// Format: github.com/huggingface/safetensors, whose reader (0.8.0) decides what is valid.</remarks>
internal sealed unsafe class SafetensorsFile : IDisposable
{
    const int PrefixLength = 8;
    const ulong LongestHeader = 100_000_000;   // the reference's limit

    readonly SafeFileHandle handle;
    readonly MemoryMappedFile map;
    readonly MemoryMappedViewAccessor view;
    readonly SafetensorsHeader header;
    byte* start;

    SafetensorsFile(string path, string resolvedPath)
    {
        Path = path;
        ResolvedPath = resolvedPath;
        FileName = System.IO.Path.GetFileName(path);

        // Asked before opening: a pipe or device has no length, and opening a pipe would wait for a writer.
        if (new FileInfo(resolvedPath) is not { Exists: true, Length: >= PrefixLength })
            throw new CheckpointException($"{FileName}: the file is shorter than the {PrefixLength} bytes that every safetensors file "
                + $"begins with. {Fault.FetchAgain}");

        handle = File.OpenHandle(resolvedPath, FileMode.Open, FileAccess.Read, FileShare.Read);
        try
        {
            FileLength = RandomAccess.GetLength(handle);
            var json = ReadHeaderBytes();
            header = SafetensorsHeader.Parse(this, json, dataStart: PrefixLength + json.Length);
            map = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            view = map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);

            // Not AcquirePointer: its reference would keep the mapping alive for ever where Dispose is forgotten.
            start = (byte*)view.SafeMemoryMappedViewHandle.DangerousGetHandle() + view.PointerOffset;
        }
        catch
        {
            view?.Dispose();
            map?.Dispose();
            handle.Dispose();
            throw;
        }
    }

    /// <summary>The path as given to <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>The file itself, where <see cref="Path"/> is a symbolic link, as every file of the hub cache is:
    /// ONNX Runtime refuses links out of the folder.</summary>
    public string ResolvedPath { get; }

    /// <summary>Last part of <see cref="Path"/>: how messages name the file.</summary>
    public string FileName { get; }

    /// <summary>Number of bytes in the file.</summary>
    public long FileLength { get; }

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, StoredTensor> Tensors => header.Tensors;

    /// <summary>The header's "__metadata__"; empty where it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => header.Metadata;

    /// <summary>First byte of the mapped file.</summary>
    internal byte* Base
    {
        get
        {
            ObjectDisposedException.ThrowIf(start is null, this);
            return start;
        }
    }

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="CheckpointException">The file is not there, cannot be read, or is not valid safetensors.</exception>
    public static SafetensorsFile Open(string path)
    {
        try
        {
            if (!FileNames.Exists(path))
                throw new CheckpointException($"{System.IO.Path.GetFileName(path)}: there is no such file in "
                    + $"{Fault.Quote(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path)) ?? path)}.");
            return new SafetensorsFile(path, RealPath.Of(path));
        }
        catch (Exception e) when (Fault.IsFileError(e))
        {
            throw new CheckpointException($"{System.IO.Path.GetFileName(path)}: the file cannot be read. {e.Message}", e);
        }
    }

    /// <summary>Unmaps and closes the file: its tensors can no longer be read.</summary>
    public void Dispose()
    {
        start = null;
        view.Dispose();
        map.Dispose();
        handle.Dispose();
    }

    byte[] ReadHeaderBytes()
    {
        Span<byte> prefix = stackalloc byte[PrefixLength];
        ReadExactly(prefix, 0);
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > LongestHeader)
            throw new CheckpointException($"{FileName}: the header claims {length} bytes, more than the {LongestHeader} that the "
                + "format allows. The file is damaged or is not safetensors: fetch it again.");
        if ((long)length > FileLength - PrefixLength)
            throw new CheckpointException($"{FileName}: the header claims {length} bytes, but only {FileLength - PrefixLength} "
                + $"follow. {Fault.FetchAgain}");
        var json = new byte[length];
        ReadExactly(json, PrefixLength);
        return json;
    }

    void ReadExactly(Span<byte> destination, long offset)
    {
        for (int n; destination.Length > 0; destination = destination[n..], offset += n)
            if ((n = RandomAccess.Read(handle, destination, offset)) == 0)
                throw new CheckpointException($"{FileName}: the file ended while it was read. {Fault.FetchAgain}");
    }
}
