using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;

namespace MedVlm.Benchmarks.Synthetic;

/// <summary>
/// A weight made by formula: every element depends on the tensor's name, its own index and the family's gains alone, so that any
/// program in any language makes the same bits and nothing has to be stored.
/// </summary>
/// <remarks>
/// Element i is the output function of splitmix64 (Steele, Lea, Flood, OOPSLA 2014) at <c>seed + i · golden gamma</c>, its upper 24 bits
/// taken as a number in [-1, 1) and scaled by what the tensor is.
/// </remarks>
internal sealed class SyntheticTensor
{
    const ulong FnvOffset = 0xCBF29CE484222325, FnvPrime = 0x100000001B3;
    const ulong GoldenGamma = 0x9E3779B97F4A7C15, Mix1 = 0xBF58476D1CE4E5B9, Mix2 = 0x94D049BB133111EB;

    // BLIP stores these twice; they are one parameter.
    static readonly Dictionary<string, string> s_aliases = new()
    {
        ["text_decoder.cls.predictions.decoder.weight"] = "text_decoder.bert.embeddings.word_embeddings.weight",
        ["text_decoder.cls.predictions.decoder.bias"] = "text_decoder.cls.predictions.bias",
    };

    readonly float _scale;
    readonly bool _aroundOne;

    public SyntheticTensor(string name, string dtype, long[] shape, SyntheticFamily family)
    {
        (Name, Dtype, Shape) = (name, dtype, shape);
        ElementSize = dtype switch
        {
            "BF16" or "F16" => 2,
            "F32" => 4,
            "I64" => 8,
            _ => throw new UsageException($"tensors.json: {name} is {dtype}; the generator makes BF16, F16, F32 and I64."),
        };

        name = s_aliases.GetValueOrDefault(name, name);
        Seed = SeedOf(name);
        (_scale, _aroundOne) =
            name.EndsWith(".bias", StringComparison.Ordinal) ? (0.02f, false)
            : name.EndsWith(".weight", StringComparison.Ordinal) && shape.Length == 1 ? (0.1f, true)
            : EndsWithAny(name, "lm_head.weight", "predictions.decoder.weight") ? (Scale(family.HeadGain), false)
            : EndsWithAny(name, "embed_tokens.weight", "word_embeddings.weight", "wte", "wte.weight") ? (Scale(family.EmbeddingGain), false)
            : (Scale(family.MatrixGain), false);
    }

    public string Name { get; }

    public string Dtype { get; }

    public long[] Shape { get; }

    public int ElementSize { get; }

    public ulong Seed { get; }

    public long Elements => Shape.Aggregate(1L, (product, size) => product * size);

    public long Bytes => Elements * ElementSize;

    /// <summary>The stored bytes of a run of elements.</summary>
    /// <param name="first">Index of the first.</param>
    /// <param name="destination">Room for whole elements.</param>
    public void Fill(long first, Span<byte> destination)
    {
        int count = destination.Length / ElementSize;
        if (Dtype == "I64")
        {
            for (int i = 0; i < count; i++)
                BinaryPrimitives.WriteInt64LittleEndian(destination[(i * sizeof(long))..], first + i);
            return;
        }

        var values = Dtype == "F32" ? MemoryMarshal.Cast<byte, float>(destination) : new float[count];
        for (int i = 0; i < count; i++)
            values[i] = Uniform(Seed, first + i);

        // Two roundings, as two operations: no fused multiply-add.
        TensorPrimitives.Multiply(values, _scale, values);
        if (_aroundOne)
            TensorPrimitives.Add(values, 1f, values);

        if (Dtype == "F16")
            TensorPrimitives.ConvertToHalf(values, MemoryMarshal.Cast<byte, Half>(destination));
        else if (Dtype == "BF16")
            RoundToBFloat16(values, MemoryMarshal.Cast<byte, ushort>(destination));
    }

    /// <summary>FNV-1a of the name.</summary>
    internal static ulong SeedOf(string name)
    {
        ulong hash = FnvOffset;
        foreach (byte b in Encoding.UTF8.GetBytes(name))
            hash = (hash ^ b) * FnvPrime;
        return hash;
    }

    /// <summary>A multiple of 2^-23 in [-1, 1).</summary>
    internal static float Uniform(ulong seed, long index)
    {
        ulong z = seed + (ulong)index * GoldenGamma;
        z = (z ^ (z >> 30)) * Mix1;
        z = (z ^ (z >> 27)) * Mix2;
        z ^= z >> 31;
        return (int)(z >> 40) * (1f / (1 << 23)) - 1f;
    }

    /// <summary>To nearest, ties to even.</summary>
    static void RoundToBFloat16(ReadOnlySpan<float> values, Span<ushort> destination)
    {
        var bits = MemoryMarshal.Cast<float, uint>(values);
        for (int i = 0; i < bits.Length; i++)
            destination[i] = (ushort)((bits[i] + 0x7FFF + ((bits[i] >> 16) & 1)) >> 16);
    }

    // In double, rounded once at the end.
    static float Scale(double gain) => (float)(Math.Sqrt(3) * 0.02 * gain);

    static bool EndsWithAny(string name, params ReadOnlySpan<string> endings)
    {
        foreach (var ending in endings)
            if (name.EndsWith(ending, StringComparison.Ordinal))
                return true;
        return false;
    }
}
