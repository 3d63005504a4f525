using System.Runtime.Intrinsics.X86;

namespace MedVlm.Graphs;

/// <summary>What the processor's products of uint8 and int8 can hold.</summary>
internal static class IntegerProducts
{
    /// <summary>
    /// Largest magnitude of an activation: 127, or 63 on x64 without VNNI. There ONNX Runtime adds pairs of products in 16 bits (VPMADDUBSW),
    /// which 2 · 127 · 127 fits, and twice as much does not: sums would be cut off in silence.
    /// </summary>
    public static int LargestActivation { get; } = !X86Base.IsSupported || HasVnni ? 127 : 63;

    // CPUID 7.0, ECX bit 11: AVX512_VNNI, which every processor with AMX has too.
    static bool HasVnni => AvxVnni.IsSupported || Avx512F.IsSupported && (X86Base.CpuId(7, 0).Ecx & 1 << 11) != 0;
}
