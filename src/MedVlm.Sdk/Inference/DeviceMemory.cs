using System.Globalization;
using System.Runtime.InteropServices;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace MedVlm.Inference;

/// <summary>Memory that keys and values lie in, on the device that computes them.</summary>
internal sealed class DeviceMemory : IDisposable
{
    readonly OrtMemoryInfo _info;
    readonly OrtAllocator? _allocator;

    DeviceMemory(OrtMemoryInfo info, OrtAllocator? allocator) => (_info, _allocator) = (info, allocator);

    /// <summary>The arena that it comes from and that keeps what is given back, in ONNX Runtime's words ("gpu:0"); null for none.</summary>
    public string? Arena => IsHost ? null : string.Create(CultureInfo.InvariantCulture, $"gpu:{_info.Id}");

    /// <summary>Whether it is main memory.</summary>
    public bool IsHost => _allocator is null;

    /// <summary>Main memory.</summary>
    public static DeviceMemory Host() => new(OrtMemoryInfo.DefaultInstance, null);

    /// <summary>What a session allocates from: the memory of its GPU.</summary>
    /// <param name="session">The session; it must outlive the memory.</param>
    /// <param name="info">Whose memory.</param>
    public static DeviceMemory Of(InferenceSession session, OrtMemoryInfo info) => new(info, new OrtAllocator(session, info));

    /// <summary>Takes memory, cleared where it is the host's.</summary>
    /// <returns>The memory, to be disposed, and its address.</returns>
    /// <exception cref="OutOfMemoryException">The host has not that much.</exception>
    /// <exception cref="OnnxRuntimeException">The device has not that much.</exception>
    public unsafe (IDisposable Memory, nint Address) Allocate(long bytes)
    {
        if (_allocator is not null)
        {
            if (bytes > uint.MaxValue)
                throw new System.InsufficientMemoryException($"A buffer of {bytes} bytes is more than ONNX Runtime allocates at once.");

            // Not cleared: attention reads no further than a slot's length.
            var allocation = _allocator.Allocate((uint)bytes);
            return (allocation, allocation.DangerousGetHandle());
        }

        var buffer = new NativeBuffer(checked((nuint)bytes));
        NativeMemory.Clear(buffer.Data, buffer.Length);
        return (buffer, (nint)buffer.Data);
    }

    /// <summary>A part of allocated memory as a tensor.</summary>
    /// <param name="address">Where it begins.</param>
    /// <param name="numbers">FP32, FP16 or uint8.</param>
    /// <param name="shape">Its shape.</param>
    public OrtValue View(nint address, ElementType numbers, long[] shape) => OrtValue.CreateTensorValueWithData(
        _info, (TensorElementType)numbers, shape, address, shape.Aggregate((long)numbers.Size(), (bytes, size) => bytes * size));

    public void Dispose() => _allocator?.Dispose();
}
