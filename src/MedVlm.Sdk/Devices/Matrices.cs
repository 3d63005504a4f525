namespace MedVlm.Devices;

/// <summary>Sums over the matrices of linear layers, [out, in] each: what their size in every number format follows from.</summary>
/// <param name="Elements">out · in.</param>
/// <param name="Rows">out: one scale each, where a row has one.</param>
/// <param name="Blocks">out · ceil(in / 32): one scale each, where a block has one. The last block of a row is filled up.</param>
/// <param name="ZeroPoints">out · ceil(blocks of a row / 2): bytes of zero points, of four bits each.</param>
/// <param name="Largest">Elements of the largest matrix.</param>
internal readonly record struct Matrices(long Elements, long Rows, long Blocks, long ZeroPoints, long Largest)
{
    /// <summary>Elements of a block that share a scale (MatMulNBits).</summary>
    public const int BlockSize = 32;

    public static Matrices Of(IEnumerable<(long Out, long In)> matrices) => matrices.Aggregate(default(Matrices), (sum, matrix) =>
    {
        long blocks = (matrix.In + BlockSize - 1) / BlockSize;
        return new Matrices(
            sum.Elements + matrix.Out * matrix.In, sum.Rows + matrix.Out, sum.Blocks + matrix.Out * blocks,
            sum.ZeroPoints + matrix.Out * ((blocks + 1) / 2), Math.Max(sum.Largest, matrix.Out * matrix.In));
    });

    /// <summary>Bytes in a number format on a device: values, scales and zero points.</summary>
    public long Bytes(Precision precision, DeviceKind device)
    {
        // Scales are of the type that the arithmetic has: FP32 on a CPU, FP16 on CUDA.
        long scale = device == DeviceKind.Cpu ? sizeof(float) : 2;
        return precision switch
        {
            Precision.Fp32 => Elements * sizeof(float),
            Precision.Fp16 => Elements * 2,
            Precision.Int8 when device == DeviceKind.Cpu => Elements + Rows * scale,              // a scale for each output channel
            Precision.Int8 => Blocks * BlockSize + Blocks * scale,                                // MatMulNBits, symmetric
            Precision.Int4 => Blocks * (BlockSize / 2) + Blocks * scale + ZeroPoints,             // MatMulNBits with zero points
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }
}
