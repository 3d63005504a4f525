using System.Collections.Immutable;

namespace MedVlm.Checkpoints;

/// <summary>One tensor where it lies in a safetensors file. The bytes are read from the mapped file when they are touched.</summary>
/// <remarks>Usable until <see cref="File"/> is disposed; whoever opened the file keeps it open while bytes are in use.
/// The bytes need not be aligned to the element size.</remarks>
internal sealed unsafe class StoredTensor(
    SafetensorsFile file, string name, TensorDtype dtype, ImmutableArray<long> shape, long elements, long offset, long length)
{
    /// <summary>The file that holds the tensor.</summary>
    public SafetensorsFile File { get; } = file;

    /// <summary>The checkpoint's own name, as "model.norm.weight". Any text: never a path.</summary>
    public string Name { get; } = name;

    /// <summary>Type of the elements as stored.</summary>
    public TensorDtype Dtype { get; } = dtype;

    /// <summary>Sizes of the dimensions, outermost first; empty for a scalar.</summary>
    public ImmutableArray<long> Shape { get; } = shape;

    /// <summary>Number of elements: the product of <see cref="Shape"/>.</summary>
    public long Elements { get; } = elements;

    /// <summary>Where the bytes begin, counted from the start of the file.</summary>
    public long Offset { get; } = offset;

    /// <summary>Number of bytes.</summary>
    public long Length { get; } = length;

    /// <summary>The first byte in the mapped file; <see cref="Length"/> bytes may be read.</summary>
    public byte* Data => File.Base + Offset;

    /// <summary>A run of the tensor's bytes. Tensors may be longer than a span: take them run by run.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The run leaves the tensor.</exception>
    public ReadOnlySpan<byte> Bytes(long start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Length - count);
        return new ReadOnlySpan<byte>(Data + start, count);
    }

    /// <summary>Type and shape as messages write them: "BF16 [320, 960]".</summary>
    public override string ToString() => $"{Dtype.StoredName} [{string.Join(", ", Shape)}]";
}
