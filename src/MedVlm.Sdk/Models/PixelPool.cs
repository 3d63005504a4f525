using MedVlm.Checkpoints;
using MedVlm.Imaging;

namespace MedVlm.Models;

/// <summary>
/// Memory for the pixels of images that are made ready and wait, outside the garbage collector's heap and used again and again: it is then as
/// much as the memory plan counts, and no more lies about until .NET collects it.
/// </summary>
internal sealed class PixelPool
{
    readonly Lock _lock = new();
    readonly List<NativeBuffer> _free = [];   // the one that came back last at the end
    long _mostKept;

    /// <summary>Bytes that are in use and kept for later together: beyond them what comes back is freed. Default: 0.</summary>
    public long MostKept
    {
        get => _mostKept;
        set
        {
            lock (_lock)
            {
                _mostKept = value;
                Trim();
            }
        }
    }

    /// <summary>Bytes that are kept for later.</summary>
    public long Kept { get; private set; }

    /// <summary>Bytes that are in use.</summary>
    public long Used { get; private set; }

    /// <summary>Takes memory for pixels, not cleared: the one who takes it writes all of it.</summary>
    public PixelBuffer Rent(int bytes)
    {
        NativeBuffer? taken;
        lock (_lock)
        {
            // Of about the size: a small image must not hold a large one's memory.
            taken = _free.Where(buffer => (long)buffer.Length >= bytes && (long)buffer.Length / 2 <= bytes).MinBy(buffer => buffer.Length);
            if (taken is not null)
            {
                _free.Remove(taken);
                Kept -= (long)taken.Length;
                Used += (long)taken.Length;
            }
            else
            {
                Used += bytes;
                Trim();
            }
        }
        try
        {
            return new PixelBuffer(this, taken ?? new NativeBuffer((nuint)bytes), bytes);
        }
        catch (OutOfMemoryException)
        {
            Forget(taken is null ? bytes : (long)taken.Length);
            taken?.Dispose();
            throw;
        }
    }

    /// <summary>Takes memory for images of one size, and copies their pixels there, one after another.</summary>
    public PixelBuffer Copy(IReadOnlyList<RgbImage> images)
    {
        int length = images[0].Pixels.Length;
        var buffer = Rent(checked(images.Count * length));
        for (int i = 0; i < images.Count; i++)
            images[i].Pixels.CopyTo(buffer.Pixels.Slice(i * length, length));
        return buffer;
    }

    internal void Return(NativeBuffer memory)
    {
        lock (_lock)
        {
            Used -= (long)memory.Length;
            Kept += (long)memory.Length;
            _free.Add(memory);
            Trim();
        }
    }

    /// <summary>Memory that is in use no more, and that nobody gives back.</summary>
    internal void Forget(long bytes)
    {
        lock (_lock)
            Used -= bytes;
    }

    void Trim()
    {
        while (_free.Count > 0 && Kept + Used > _mostKept)
        {
            Kept -= (long)_free[0].Length;
            _free[0].Dispose();
            _free.RemoveAt(0);
        }
    }
}

/// <summary>Pixels of images that are made ready, or wait: bytes R, G, B, row by row.</summary>
internal sealed class PixelBuffer : IDisposable
{
    readonly PixelPool _pool;
    NativeBuffer? _memory;

    internal PixelBuffer(PixelPool pool, NativeBuffer memory, int length) => (_pool, _memory, Length) = (pool, memory, length);

    /// <summary>Number of bytes.</summary>
    public int Length { get; }

    /// <exception cref="ObjectDisposedException">They have been given back.</exception>
    public unsafe Span<byte> Pixels
    {
        get
        {
            var memory = _memory;
            ObjectDisposedException.ThrowIf(memory is null, this);
            return new Span<byte>(memory.Data, Length);
        }
    }

    // Forgotten: only counted. The memory has a finalizer of its own, perhaps in the same collection, so it must not go back into the pool.
    ~PixelBuffer()
    {
        if (_memory is { } memory)
            _pool.Forget((long)memory.Length);
    }

    /// <summary>Gives the memory back, once however often it is called.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _memory, null) is { } memory)
            _pool.Return(memory);
        GC.SuppressFinalize(this);
    }
}
