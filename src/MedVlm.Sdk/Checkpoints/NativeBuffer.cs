using System.Runtime.ConstrainedExecution;
using System.Runtime.InteropServices;

namespace MedVlm.Checkpoints;

/// <summary>Memory outside the garbage collector's heap, aligned to 64 bytes, of any size:
/// for weights that cannot be used as they lie.</summary>
internal sealed unsafe class NativeBuffer : CriticalFinalizerObject, IDisposable
{
    const nuint Alignment = 64;

    nint memory;

    /// <summary>Takes <paramref name="length"/> bytes, not cleared.</summary>
    /// <exception cref="OutOfMemoryException">The system has not that much.</exception>
    public NativeBuffer(nuint length)
    {
        Length = length;
        memory = (nint)NativeMemory.AlignedAlloc(length, Alignment);
    }

    ~NativeBuffer() => Free();

    /// <summary>Number of bytes.</summary>
    public nuint Length { get; }

    /// <summary>The first byte.</summary>
    public byte* Data
    {
        get
        {
            ObjectDisposedException.ThrowIf(memory == 0, this);
            return (byte*)memory;
        }
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    void Free() => NativeMemory.AlignedFree((void*)Interlocked.Exchange(ref memory, 0));
}
