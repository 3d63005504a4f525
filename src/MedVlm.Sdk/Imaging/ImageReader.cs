using MedVlm.Checkpoints;

namespace MedVlm.Imaging;

/// <summary>Reads encoded images into memory, no further than the limit.</summary>
internal static class ImageReader
{
    const int FirstBuffer = 64 * 1024;

    /// <exception cref="ImageException">The file is missing, unreadable or too long. The message does not name it: names may hold patient data.</exception>
    public static async ValueTask<byte[]> ReadFileAsync(string path, ImageLimits limits, CancellationToken cancellationToken)
    {
        try
        {
            // Asked before opening: opening a named pipe would wait, for ever. It has no length, and what has none is no image either way.
            if (new FileInfo(RealPath.Of(path)) is { Exists: true, Length: 0 })
                return [];

            var stream = new FileStream(
                path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.Asynchronous | FileOptions.SequentialScan);
            await using (stream.ConfigureAwait(false))
                return await ReadAsync(stream, limits, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ImageException("The image file does not exist. Check the path, and that the folder is mounted.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ImageException(
                "The image file cannot be opened. Check that it is a file, that this process may read it, and that no other program holds it.", e);
        }
    }

    /// <exception cref="ImageException">The stream is too long, or reading it fails.</exception>
    public static async ValueTask<byte[]> ReadAsync(Stream stream, ImageLimits limits, CancellationToken cancellationToken)
    {
        try
        {
            long announced = stream.CanSeek ? Math.Max(stream.Length - stream.Position, 0) : 0;
            CheckLength(announced, limits);
            var bytes = new byte[announced > 0 ? announced : FirstBuffer];
            int length = 0;
            while (await stream.ReadAsync(bytes.AsMemory(length), cancellationToken).ConfigureAwait(false) is > 0 and var read)
            {
                length += read;
                CheckLength(length, limits);
                if (length == announced)
                    return bytes;
                if (length == bytes.Length)
                    Array.Resize(ref bytes, (int)Math.Min(length * 2L, Math.Min(limits.MaxBytes + 1L, Array.MaxLength)));
            }

            return bytes[..length];
        }
        catch (IOException e) when (e is not (FileNotFoundException or DirectoryNotFoundException))
        {
            throw new ImageException("Reading the image failed before its end. Check the disk or the connection that it comes from.", e);
        }
    }

    /// <exception cref="ImageException">The encoded image is too long.</exception>
    public static void CheckLength(long length, ImageLimits limits)
    {
        if (length > limits.MaxBytes)
            throw new ImageException(
                $"The image is longer than the {limits.MaxBytes} bytes that ImageLimits.MaxBytes allows. Raise the limit if the source is trusted.");
    }
}
