using System.Runtime.InteropServices;

namespace MedVlm.Kernels;

/// <summary>Memory of a row between two steps of a kernel: the widest layers are too much for the stack.</summary>
internal readonly unsafe struct RowBuffer(int width) : IDisposable
{
    public float* Numbers { get; } = (float*)NativeMemory.AlignedAlloc((nuint)Math.Max(width, 1) * sizeof(float), 64);

    public void Dispose() => NativeMemory.AlignedFree(Numbers);
}
