using System.Diagnostics.CodeAnalysis;

namespace MedVlm;

/// <summary>Number format of the weights and the arithmetic. docs/precision.md tells speed, memory and quality of each.</summary>
[SuppressMessage("Naming", "CA1720", Justification = "INT8 and INT4 are the field's names of these formats; the type Int8 does not exist.")]
public enum Precision
{
    /// <summary>The best that fits into the device's memory (<see cref="MemoryPlan"/>): FP32 on a CPU, FP16 on a GPU, else INT8, else INT4.</summary>
    Auto,

    /// <summary>32-bit floating point; stored 16-bit weights are widened once, at load.</summary>
    Fp32,

    /// <summary>16-bit floating point, on NVIDIA GPUs only.</summary>
    Fp16,

    /// <summary>
    /// 8-bit whole numbers: weights with a scale for each output channel and, on a CPU, activations with a scale for each token.
    /// Norms, biases, attention and the token embedding stay in floating point.
    /// </summary>
    Int8,

    /// <summary>
    /// 4-bit weights with scale and zero point for each 32 of them, for the smallest memory and the fastest single caption. On a CPU the
    /// vision tower, where arithmetic and not memory is the limit, computes in <see cref="Int8"/>.
    /// </summary>
    Int4,
}
